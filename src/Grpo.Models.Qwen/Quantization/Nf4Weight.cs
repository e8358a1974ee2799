using Grpo.Models.Qwen.Cpu;
using Grpo.Models.Qwen.Tensors;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Quantization;

/// <summary>A frozen weight W [out, in] in 4 bits (NF4), stored in two buffers that move with their module.</summary>
internal sealed class Nf4Weight : nn.Module
{
    /// <summary>The number of weights that are converted at a time, which bounds the temporaries.</summary>
    internal const long NumbersAtOnce = 1 << 22;

    private const string BytesName = "nf4_bytes";
    private const string FloatsName = "nf4_scales";
    private const long BlocksAtOnce = NumbersAtOnce / Nf4Layout.BlockLength;

    private readonly Nf4Layout _layout;

    /// <summary>Allocates a weight of zeros.</summary>
    /// <param name="outputs">The number of rows.</param>
    /// <param name="inputs">The number of columns.</param>
    /// <param name="placement">The device of the weight.</param>
    internal Nf4Weight(long outputs, long inputs, ParameterPlacement placement)
        : base(nameof(Nf4Weight))
    {
        _layout = new Nf4Layout(outputs, inputs);
        using var scope = TensorScope.BeginNoGrad();
        register_buffer(BytesName, scope.Release(zeros([_layout.Bytes], ScalarType.Byte, placement.Device)));
        register_buffer(FloatsName, scope.Release(zeros([_layout.Floats], ScalarType.Float32, placement.Device)));
    }

    /// <summary>The weight's tensors. Owned by this module.</summary>
    internal Nf4Data Data => new(get_buffer(BytesName)!, get_buffer(FloatsName)!, _layout);

    /// <summary>Replaces the weight by the rounded values of another.</summary>
    /// <param name="weight">The weight, [out, in] of any float type and device. Borrowed.</param>
    /// <exception cref="InvalidDataException">A number is NaN or infinite. The weight is unchanged.</exception>
    internal void Quantize(Tensor weight)
    {
        using var scope = TensorScope.BeginNoGrad();
        TensorGuard.Require(weight, nameof(weight), "[out, in]", _layout.Outputs, _layout.Inputs);
        CopyFrom(Nf4Quantizer.Quantize(weight));
    }

    /// <summary>Copies a weight of the same shape.</summary>
    internal void CopyFrom(Nf4Data other)
    {
        using var scope = TensorScope.BeginNoGrad();
        DeviceTransfer.Copy(other.Bytes, Data.Bytes);
        DeviceTransfer.Copy(other.Floats, Data.Floats);
    }

    /// <summary>Computes the numbers of a weight.</summary>
    /// <param name="data">The weight. Borrowed.</param>
    /// <param name="type">The type of the result. The numbers are float32 values, which another type rounds.</param>
    /// <returns>The numbers, [out, in] on the device of the weight. Owned by the caller's scope.</returns>
    internal static Tensor Dequantize(Nf4Data data, ScalarType type)
    {
        using var scope = TensorScope.BeginNoGrad();
        Nf4Layout layout = data.Layout;
        Tensor all = empty([layout.Blocks * Nf4Layout.BlockLength], type, data.Bytes.device); // whole blocks
        for (long block = 0; block < layout.Blocks; block += BlocksAtOnce)
        {
            using var part = TensorScope.BeginNoGrad();
            long count = Math.Min(BlocksAtOnce, layout.Blocks - block);
            Tensor values = all.narrow(0, block * Nf4Layout.BlockLength, count * Nf4Layout.BlockLength);
            if (DeviceTransfer.IsOnDevice(data.Bytes))
            {
                values.copy_(ByOperators(data, block, count));
            }
            else if (type == ScalarType.Float32)
            {
                ByKernel(data, block, values);
            }
            else
            {
                Tensor single = empty(values.shape, ScalarType.Float32, CPU);
                ByKernel(data, block, single);
                values.copy_(single);
            }
        }

        return scope.Keep(all.narrow(0, 0, layout.Numbers).view(layout.Outputs, layout.Inputs));
    }

    /// <summary>Computes the numbers of some blocks by torch's operators, as on a GPU.</summary>
    /// <returns>The numbers, [count · 64] float32. Owned by the caller's scope.</returns>
    internal static Tensor ByOperators(Nf4Data data, long block, long count)
    {
        using var scope = TensorScope.BeginNoGrad();
        (Tensor bytes, Tensor floats, Nf4Layout layout) = data;
        Tensor pairs = DeviceTransfer.ToDevice(Nf4Codes.LevelsOfBytes.ToArray(), bytes.device, 256, 2);
        Tensor scaleValues = DeviceTransfer.ToDevice(ScaleCodes.Values.ToArray(), bytes.device);
        Tensor group = arange(block, block + count, ScalarType.Int64, bytes.device).div(Nf4Layout.GroupLength, RoundingMode.floor);
        Tensor scales = scaleValues.index_select(0, bytes.narrow(0, block, count).to(ScalarType.Int32))
            .mul_(floats.index_select(0, group + 1))
            .add_(floats.narrow(0, 0, 1));                                                               // [count]
        Tensor codes = bytes.narrow(0, layout.Blocks + (block * Nf4Layout.BlockBytes), count * Nf4Layout.BlockBytes);
        Tensor levels = pairs.index_select(0, codes.to(ScalarType.Int32)).view(count, Nf4Layout.BlockLength);
        return scope.Keep(levels.mul_(scales.unsqueeze(1)).view(-1));
    }

    // A model may change the type of its weights. The bytes and floats then stay as they are.
    protected override nn.Module _to(ScalarType dtype, bool non_blocking) => this;

    protected override nn.Module _to(Device device, ScalarType dtype, bool non_blocking) => _to(device.type, device.index, non_blocking);

    private static unsafe void ByKernel(Nf4Data data, long block, Tensor values)
    {
        var source = new Nf4Source(data);
        float* first = CpuMemory.Address(values);
        RowBlocks.ForEach((int)(values.numel() / Nf4Layout.BlockLength), values.numel(), (from, to) =>
            source.Dequantize(block + from, block + to, first + ((long)from * Nf4Layout.BlockLength)));
    }
}
