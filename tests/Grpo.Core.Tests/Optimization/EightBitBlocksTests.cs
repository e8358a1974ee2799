using System.Runtime.InteropServices;
using CsCheck;
using Grpo.Optimization;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Optimization;

public sealed class EightBitBlocksTests
{
    [Fact]
    public void Signed_codes_count_eighths_of_octaves_below_the_largest_of_the_block()
    {
        (float Value, int Code)[] expected =
        [
            (2f, 127), (1f, 119), (-1f, -119), (0.25f, 103), (MathF.ScaleB(-1, -14), -7), (MathF.ScaleB(1, -15), 0), (0f, 0), (1.92f, 127),
            (-1.9f, -126),
        ];
        (byte[] codes, float[] scales, float[] values) = RoundTrip(EightBitBlocks.Signed, [.. expected.Select(pair => pair.Value)]);
        Assert.Equal(expected.Select(pair => pair.Code), codes[..9].Select(code => (int)(sbyte)code));
        Assert.Equal([2f], scales);
        Assert.Equal([2f, 1f, -1f, 0.25f, MathF.ScaleB(-1, -14), 0f, 0f, 2f], values[..8]);
        Assert.Equal(-2 * Math.Pow(2, -1 / 8.0), values[8], 1e-6);
    }

    [Fact]
    public void Unsigned_codes_reach_further_down_and_none_is_zero()
    {
        (float Value, int Code)[] expected =
            [(2f, 255), (1f, 247), (0.25f, 231), (MathF.ScaleB(1, -30), 7), (MathF.ScaleB(1, -40), 1), (0f, 1)];
        (byte[] codes, _, float[] values) = RoundTrip(EightBitBlocks.Unsigned, [.. expected.Select(pair => pair.Value)]);
        Assert.Equal(expected.Select(pair => pair.Code), codes[..6].Select(code => (int)code));
        Assert.Equal([2f, 1f, 0.25f, MathF.ScaleB(1, -30)], values[..4]);
        Assert.Equal(Math.Pow(2, -30.75), values[5], 1e-15);
    }

    [Fact]
    public void A_block_of_zeros_stays_zero()
    {
        Assert.All(RoundTrip(EightBitBlocks.Signed, new float[256]).Values, value => Assert.Equal(0f, value));
        Assert.All(RoundTrip(EightBitBlocks.Unsigned, new float[256]).Values, value => Assert.Equal(0f, value));
    }

    [Fact]
    public void Values_of_every_size_are_within_a_sixteenth_of_an_octave() =>
        Gen.Select(Gen.Float[-1, 1].Array[256], Gen.Int[-60, 60], Gen.Int[0, 28]).Sample((random, scale, spread) =>
        {
            // Magnitudes spread over up to 2^28, which only unsigned codes can follow.
            float[] values = [.. random.Select((value, i) => MathF.ScaleB(value, scale - (i % (spread + 1))))];
            Check(EightBitBlocks.Signed, values, lowest: Math.Pow(2, -15.7));
            Check(EightBitBlocks.Unsigned, [.. values.Select(MathF.Abs)], lowest: Math.Pow(2, -31.7));

            static void Check(EightBitBlocks blocks, float[] values, double lowest)
            {
                float[] rounded = RoundTrip(blocks, values).Values;
                float largest = values.Max(MathF.Abs);
                for (int i = 0; i < values.Length; i++)
                {
                    double allowed = Math.Max(Math.Abs(values[i]) * (Math.Pow(2, 1 / 16.0) - 1 + 1e-5), lowest * largest);
                    Assert.True(
                        Math.Abs(rounded[i] - values[i]) <= allowed, $"{values[i]:R} became {rounded[i]:R} in a block up to {largest:R}");
                    Assert.True(
                        values[i] == 0 || rounded[i] == 0 || Math.Sign(values[i]) == Math.Sign(rounded[i]),
                        $"{values[i]:R} became {rounded[i]:R}");
                    Assert.True(
                        Math.Abs(values[i]) < largest || rounded[i] == values[i],
                        $"{values[i]:R} is the largest and became {rounded[i]:R}");
                }
            }
        });

    [Fact]
    public void The_mean_over_steps_is_nearly_the_number_at_every_place_of_a_block()
    {
        using var scope = TensorScope.BeginNoGrad();
        using var generator = new Generator(3);
        Tensor numbers = rand([4, 256], generator: generator).pow(4);                            // over several sizes
        Tensor sum = zeros([4, 256], ScalarType.Float64);
        const int steps = 2000;
        for (int step = 1; step <= steps; step++)
        {
            using var one = TensorScope.BeginNoGrad();
            sum.add_(Rounded(EightBitBlocks.Unsigned, numbers, EightBitBlocks.Thresholds(step, 0.5, CPU)).to(ScalarType.Float64));
        }

        // The mean code is right, so that the mean number is above by a thousandth at most.
        Tensor difference = ((sum / steps) - numbers).abs() / numbers.clamp_min(1e-6);
        Assert.True(difference.max().item<double>() < 1.5e-3, $"{difference.max().item<double>()}");
    }

    [Fact]
    public void A_slow_average_decays_and_to_the_nearest_code_it_would_not()
    {
        using var scope = TensorScope.BeginNoGrad();
        Assert.Equal(0.5 * Math.Pow(0.999, 2000), Decayed(nearest: false), 0.003);
        Assert.Equal(0.5, Decayed(nearest: true));

        static double Decayed(bool nearest)
        {
            // In a block whose largest number stays, so that the scale does not move.
            Tensor numbers = full([1, 256], 0.5f, ScalarType.Float32);
            for (int step = 1; step <= 2000; step++)
            {
                numbers.mul_(0.999);
                numbers.narrow(1, 0, 1).fill_(1);
                numbers = Rounded(
                    EightBitBlocks.Unsigned, numbers, nearest ? EightBitBlocks.Halves(CPU) : EightBitBlocks.Thresholds(step, 0, CPU));
            }

            return numbers.narrow(1, 1, 255).mean().item<float>();
        }
    }

    private static Tensor Rounded(EightBitBlocks blocks, Tensor numbers, Tensor thresholds)
    {
        Tensor values = numbers.clone(), scratch = empty_like(numbers);
        EightBitTensor stored = blocks.Zeros(numbers.numel(), CPU);
        blocks.Encode(values, stored, thresholds, scratch);
        blocks.Decode(stored, values, scratch);
        return values;
    }

    // To the nearest code and back.
    private static (byte[] Codes, float[] Scales, float[] Values) RoundTrip(EightBitBlocks blocks, float[] values)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor numbers = zeros([1, 256], ScalarType.Float32), scratch = empty_like(numbers);
        numbers.view(-1).narrow(0, 0, values.Length).copy_(tensor(values));
        EightBitTensor stored = blocks.Zeros(256, CPU);
        blocks.Encode(numbers, stored, EightBitBlocks.Halves(CPU), scratch);
        blocks.Decode(stored, numbers, scratch);
        return (stored.Codes.bytes.ToArray(), Floats(stored.Scales), Floats(numbers));
    }

    private static float[] Floats(Tensor tensor) => MemoryMarshal.Cast<byte, float>(tensor.bytes).ToArray();
}
