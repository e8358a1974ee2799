using Grpo.Models.Qwen.Cpu;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Quantization;

/// <summary>Rounds weights to 4 bits, each block of 64 by its largest magnitude. Equal weights give equal bytes on every machine.</summary>
internal static class Nf4Quantizer
{
    /// <summary>Rounds a weight.</summary>
    /// <param name="weight">The weight, [out, in] of any float type and device. Borrowed.</param>
    /// <returns>The weight in 4 bits, on the CPU. Its tensors are owned by the caller's scope.</returns>
    /// <exception cref="InvalidDataException">A number is NaN or infinite.</exception>
    internal static unsafe Nf4Data Quantize(Tensor weight)
    {
        using var scope = TensorScope.BeginNoGrad();
        var layout = new Nf4Layout(weight.shape[0], weight.shape[1]);
        float* values = CpuMemory.Address(DeviceTransfer.ToCpu(weight.detach()).to(ScalarType.Float32).contiguous());
        var data = new Nf4Data(
            empty([layout.Bytes], ScalarType.Byte, CPU), empty([layout.Floats], ScalarType.Float32, CPU), layout);
        byte* bytes = CpuMemory.Bytes(data.Bytes);
        float[] scales = new float[layout.Blocks];
        RowBlocks.ForEach(checked((int)layout.Blocks), 4 * layout.Numbers, (from, to) =>
        {
            for (int block = from; block < to; block++)
            {
                scales[block] = Round(values, layout, block, bytes + layout.Blocks + ((long)block * Nf4Layout.BlockBytes));
            }
        });
        if (Array.Exists(scales, scale => !float.IsFinite(scale)))
        {
            throw new InvalidDataException(
                $"The weight [{layout.Outputs}, {layout.Inputs}] holds NaN or an infinite number, which 4 bits cannot represent. "
                + "Every number of the base must be finite.");
        }

        RoundScales(
            scales, new Span<float>(CpuMemory.Address(data.Floats), (int)layout.Floats), new Span<byte>(bytes, scales.Length));
        scope.Keep(data.Bytes);
        scope.Keep(data.Floats);
        return data;
    }

    // Returns the largest magnitude, by which the numbers were divided; NaN or infinite if one of them is.
    private static unsafe float Round(float* values, Nf4Layout layout, long block, byte* codes)
    {
        long start = block * Nf4Layout.BlockLength;
        var numbers = new ReadOnlySpan<float>(values + start, (int)Math.Min(Nf4Layout.BlockLength, layout.Numbers - start));
        float largest = 0;
        foreach (float number in numbers)
        {
            largest = Math.Max(largest, Math.Abs(number)); // NaN stays
        }

        for (int i = 0; i < Nf4Layout.BlockLength; i += 2)
        {
            codes[i / 2] = (byte)((Code(numbers, i, largest) << 4) | Code(numbers, i + 1, largest));
        }

        return largest;
    }

    private static int Code(ReadOnlySpan<float> numbers, int index, float largest) =>
        index < numbers.Length && largest > 0 ? Nf4Codes.Nearest(numbers[index] / largest) : Nf4Codes.Zero;

    // The mean is subtracted first: scales are positive, and the codes are for numbers of either sign.
    private static void RoundScales(ReadOnlySpan<float> scales, Span<float> meanAndGroups, Span<byte> codes)
    {
        double sum = 0;
        foreach (float scale in scales)
        {
            sum += scale;
        }

        float mean = (float)(sum / scales.Length);
        meanAndGroups[0] = mean;
        for (int group = 0; group < meanAndGroups.Length - 1; group++)
        {
            int start = group * Nf4Layout.GroupLength, end = Math.Min(start + Nf4Layout.GroupLength, scales.Length);
            float largest = 0;
            foreach (float scale in scales[start..end])
            {
                largest = Math.Max(largest, Math.Abs(scale - mean));
            }

            meanAndGroups[group + 1] = largest;
            for (int block = start; block < end; block++)
            {
                codes[block] = ScaleCodes.Nearest(largest > 0 ? (scales[block] - mean) / largest : 0);
            }
        }
    }
}
