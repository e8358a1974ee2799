using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>The product y = x Wᵀ of tensors for a few rows of x, as in decoding, computed by <see cref="SkinnyKernel"/>.</summary>
internal static class SkinnyLinear
{
    /// <summary>The largest number of rows. Up to it reading W dominates; with more rows a general matrix product is faster.</summary>
    internal const int MaxRows = 32;

    /// <summary>True if <see cref="Apply"/> can multiply these tensors and is fast for them.</summary>
    /// <param name="input">The rows x, [rows, in].</param>
    /// <param name="weight">The weight W, [out, in].</param>
    internal static bool Suits(Tensor input, Tensor weight) =>
        input.dim() == 2 && input.shape[0] is >= 1 and <= MaxRows && input.dtype == ScalarType.Float32 && Suits(weight);

    /// <summary>True if the kernel can multiply by a weight.</summary>
    /// <param name="weight">The weight W, [out, in].</param>
    internal static bool Suits(Tensor weight) =>
        SkinnyKernel.IsSupported && CpuMemory.Suits(weight)
        && weight.shape[1] % SkinnyKernel.Lanes == 0 && weight.shape[0] % SkinnyKernel.Tile == 0;

    /// <summary>Computes x Wᵀ.</summary>
    /// <param name="input">The rows x, [rows, in] float32 on the CPU. Borrowed.</param>
    /// <param name="weight">The weight W, [out, in] float32 on the CPU. Borrowed.</param>
    /// <returns>The result, [rows, out]. Owned by the caller's scope.</returns>
    internal static unsafe Tensor Apply(Tensor input, Tensor weight)
    {
        using var scope = TensorScope.BeginNoGrad();
        (int rows, int width, int outputs) = ((int)input.shape[0], (int)input.shape[1], (int)weight.shape[0]);
        // The rows added as padding are zeros. Their results are dropped.
        int padded = SkinnyKernel.Padded(rows);
        Tensor full = padded == rows ? input.contiguous() : nn.functional.pad(input, [0, 0, 0, padded - rows]);
        Tensor result = empty([padded, outputs], ScalarType.Float32);
        float* x = CpuMemory.Address(full), w = CpuMemory.Address(weight), y = CpuMemory.Address(result);
        RowBlocks.ForEach(outputs, (long)padded * width * outputs, (from, to) =>
            SkinnyKernel.Multiply(x, padded, w, width, from, to, y, outputs));
        return scope.Keep(padded == rows ? result : result.narrow(0, 0, rows));
    }
}
