using System.Buffers;
using Grpo.Models.Qwen.Cpu;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Quantization;

/// <summary>The linear layer y = x Wᵀ + b of a decoding step with a weight in 4 bits.</summary>
/// <remarks>
/// For few rows it reads the bytes and never writes the whole weight: a few rows of W at a time become float32 in the processor's cache and
/// are multiplied there, in the order of <see cref="SkinnyLinear"/>. The result is that of the weight's numbers in float32, to the bit.
/// </remarks>
internal static class Nf4DecodingLinear
{
    /// <summary>Computes x Wᵀ + b.</summary>
    /// <param name="input">The rows x, […, in]. Borrowed.</param>
    /// <param name="weight">The weight W. Borrowed.</param>
    /// <param name="bias">The bias b, [out] in the type of x, or null. Borrowed.</param>
    /// <returns>The result, […, out] in the type of <paramref name="input"/>. Owned by the caller's scope.</returns>
    internal static Tensor Apply(Tensor input, Nf4Data weight, Tensor? bias)
    {
        using var scope = TensorScope.BeginNoGrad();
        long[] shape = input.shape;
        Tensor rows = input.reshape(-1, shape[^1]);
        if (!Suits(rows, weight.Layout))
        {
            Tensor numbers = Nf4Weight.Dequantize(weight, input.dtype);
            return scope.Keep(DeviceTransfer.IsOnDevice(input)
                ? FastLinear.Apply(input, numbers, bias)
                : DecodingLinear.Apply(input, numbers, bias, int8: null));
        }

        Tensor output = Multiply(rows, weight);
        if (bias is not null)
        {
            output = output.add_(bias);
        }

        return scope.Keep(output.reshape([.. shape[..^1], output.shape[1]]));
    }

    // Rows of W must begin with a block and come in whole tiles.
    private static bool Suits(Tensor rows, Nf4Layout layout) =>
        !DeviceTransfer.IsOnDevice(rows) && CpuMemory.Suits(rows)
        && SkinnyKernel.IsSupported && rows.shape[0] is >= 1 and <= SkinnyLinear.MaxRows
        && layout.Inputs % Nf4Layout.BlockLength == 0 && layout.Outputs % SkinnyKernel.Tile == 0
        && layout.Numbers < int.MaxValue / sizeof(float);

    private static unsafe Tensor Multiply(Tensor input, Nf4Data weight)
    {
        using var scope = TensorScope.BeginNoGrad();
        (int rows, int width, int outputs) = ((int)input.shape[0], (int)weight.Layout.Inputs, (int)weight.Layout.Outputs);
        int padded = SkinnyKernel.Padded(rows), blocksPerRow = width / Nf4Layout.BlockLength;
        Tensor full = padded == rows ? input : nn.functional.pad(input, [0, 0, 0, padded - rows]);
        Tensor result = empty([padded, outputs], ScalarType.Float32, CPU);
        float* x = CpuMemory.Address(full), y = CpuMemory.Address(result);
        var source = new Nf4Source(weight);
        RowBlocks.ForEach(outputs, (long)padded * width * outputs, (from, to) =>
        {
            float[] numbers = ArrayPool<float>.Shared.Rent(SkinnyKernel.Tile * width);
            fixed (float* tile = numbers)
            {
                for (int row = from; row < to; row += SkinnyKernel.Tile)
                {
                    source.Dequantize((long)row * blocksPerRow, (long)(row + SkinnyKernel.Tile) * blocksPerRow, tile);
                    SkinnyKernel.Multiply(x, padded, tile, width, 0, SkinnyKernel.Tile, y + row, outputs);
                }
            }

            ArrayPool<float>.Shared.Return(numbers);
        });
        return scope.Keep(padded == rows ? result : result.narrow(0, 0, rows));
    }
}
