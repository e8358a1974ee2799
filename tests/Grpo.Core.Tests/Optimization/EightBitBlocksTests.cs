using System.Runtime.InteropServices;
using CsCheck;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Optimization;

public sealed class EightBitBlocksTests
{
    [Fact]
    public void Signed_codes_are_sign_exponent_and_mantissa_counted_from_the_largest_of_the_block()
    {
        (float Value, byte Code)[] expected =
        [
            (1.75f, 126), (1f, 120), (-0.5f, 240), (0.5625f, 113), (MathF.ScaleB(1, -14), 8), (MathF.ScaleB(-1, -15), 132), (MathF.ScaleB(1, -17), 1),
            (MathF.ScaleB(1, -19), 0), (0f, 0),
        ];
        (byte[] codes, byte[] exponents, float[] values) = RoundTrip(EightBitBlocks.Signed, [.. expected.Select(pair => pair.Value)]);
        Assert.Equal(expected.Select(pair => pair.Code), codes[..expected.Length]);
        Assert.Equal([127], exponents);
        Assert.Equal([.. expected[..7].Select(pair => pair.Value), 0f, 0f], values[..9]); // all but the last two are codes
    }

    [Fact]
    public void Unsigned_codes_reach_further_down_and_none_is_zero()
    {
        (float Value, byte Code)[] expected =
            [(1.75f, 254), (1f, 248), (0.5f, 240), (0.5625f, 241), (MathF.ScaleB(1, -30), 8), (MathF.ScaleB(1, -33), 1), (0f, 1)];
        (byte[] codes, _, float[] values) = RoundTrip(EightBitBlocks.Unsigned, [.. expected.Select(pair => pair.Value)]);
        Assert.Equal(expected.Select(pair => pair.Code), codes[..expected.Length]);
        Assert.Equal([.. expected[..6].Select(pair => pair.Value), MathF.ScaleB(1, -33)], values[..7]);
    }

    [Fact]
    public void A_block_of_zeros_stays_zero()
    {
        Assert.All(RoundTrip(EightBitBlocks.Signed, new float[256]).Values, value => Assert.Equal(0f, value));
        Assert.All(RoundTrip(EightBitBlocks.Unsigned, new float[256]).Values, value => Assert.Equal(0f, value));
    }

    [Theory]
    [InlineData(1.874f, 127, 127)]
    [InlineData(1.9f, 128, 119)]   // rounded up it could be 2, so the exponent is the next
    [InlineData(1e-38f, 1, 118)]   // the smallest exponent that a float has
    public void The_largest_of_a_block_has_room_to_be_rounded_up(float largest, int exponent, int code)
    {
        (byte[] codes, byte[] exponents, float[] values) = RoundTrip(EightBitBlocks.Signed, [largest]);
        Assert.Equal((exponent, code), ((int)exponents[0], (int)codes[0]));
        Assert.InRange(values[0] / largest, 1 - (1 / 16f), 1 + (1 / 16f));
    }

    [Fact]
    public void Values_of_every_size_are_within_a_sixteenth() => Gen.Select(Gen.Float[-1, 1].Array[256], Gen.Int[-60, 60], Gen.Int[0, 28]).Sample((random, scale, spread) =>
    {
        // Magnitudes spread over up to 2^28, which only unsigned codes can follow.
        float[] values = [.. random.Select((value, i) => MathF.ScaleB(value, scale - (i % (spread + 1))))];
        Check(EightBitBlocks.Signed, values, -14);
        Check(EightBitBlocks.Unsigned, [.. values.Select(MathF.Abs)], -30);

        static void Check(EightBitBlocks blocks, float[] values, int lowest)
        {
            float[] rounded = RoundTrip(blocks, values).Values;
            float largest = values.Max(MathF.Abs), floor = MathF.ScaleB(largest, lowest + 2); // where steps are even
            for (int i = 0; i < values.Length; i++)
            {
                double allowed = Math.Max(Math.Abs(values[i]), floor) / 16;
                Assert.True(Math.Abs(rounded[i] - values[i]) <= allowed, $"{values[i]} became {rounded[i]} in a block up to {largest}");
                Assert.True(values[i] == 0 || rounded[i] == 0 || Math.Sign(values[i]) == Math.Sign(rounded[i]), $"{values[i]} became {rounded[i]}");
            }
        }
    });

    [Fact]
    public void The_mean_over_steps_is_the_number_at_every_place_of_a_block()
    {
        using var scope = TensorScope.BeginNoGrad();
        using var generator = new Generator(3);
        Tensor numbers = rand([4, 256], generator: generator).pow(4);                            // over several sizes
        numbers[0, 0] = 1;
        var sum = zeros([4, 256], ScalarType.Float64);
        const int steps = 2000;
        for (int step = 1; step <= steps; step++)
        {
            using var one = TensorScope.BeginNoGrad();
            sum.add_(Rounded(EightBitBlocks.Unsigned, numbers, EightBitBlocks.Thresholds(step, 0.5, CPU)).to(ScalarType.Float64));
        }

        Tensor difference = ((sum / steps) - numbers).abs() / numbers.clamp_min(1e-6);
        Assert.True(difference.max().item<double>() < 1e-3, $"{difference.max().item<double>()}");
    }

    [Fact]
    public void A_slow_average_decays_and_to_the_nearest_code_it_would_not()
    {
        using var scope = TensorScope.BeginNoGrad();
        Assert.Equal(0.5 * Math.Pow(0.999, 2000), Decayed(nearest: false), 0.005);
        Assert.Equal(0.5, Decayed(nearest: true));

        static double Decayed(bool nearest)
        {
            // In a block whose largest number stays, so that the shared exponent does not move.
            Tensor numbers = full([1, 256], 0.5f);
            for (int step = 1; step <= 2000; step++)
            {
                numbers.mul_(0.999);
                numbers[0, 0] = 1;
                Tensor thresholds = nearest ? EightBitBlocks.Halves(CPU) : EightBitBlocks.Thresholds(step, 0, CPU);
                numbers = Rounded(EightBitBlocks.Unsigned, numbers, thresholds);
            }

            return numbers[0].narrow(0, 1, 255).mean().item<float>();
        }
    }

    private static Tensor Rounded(EightBitBlocks blocks, Tensor numbers, Tensor thresholds)
    {
        MomentStaging staging = MomentStaging.Allocate(numbers.numel(), CPU);
        staging.First.Floats.copy_(numbers);
        EightBitTensor stored = EightBitBlocks.Zeros(numbers.numel(), CPU);
        blocks.Encode(staging.First, stored, thresholds, staging);
        blocks.Decode(stored, staging.Second, staging);
        return staging.Second.Floats;
    }

    // To the nearest code and back.
    private static (byte[] Codes, byte[] Exponents, float[] Values) RoundTrip(EightBitBlocks blocks, float[] values)
    {
        using var scope = TensorScope.BeginNoGrad();
        MomentStaging staging = MomentStaging.Allocate(256, CPU);
        staging.First.Numbers(values.Length).copy_(tensor(values));
        EightBitTensor stored = EightBitBlocks.Zeros(256, CPU);
        blocks.Encode(staging.First, stored, EightBitBlocks.Halves(CPU), staging);
        blocks.Decode(stored, staging.Second, staging);
        return (stored.Codes.bytes.ToArray(), stored.Exponents.bytes.ToArray(), MemoryMarshal.Cast<byte, float>(staging.Second.Floats.bytes).ToArray());
    }
}
