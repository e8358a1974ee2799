using CsCheck;
using Grpo.Models.Qwen.Quantization;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests.Quantization;

public sealed class Nf4QuantizerTests
{
    // Half of the widest gap between two levels, from −1 to −0.6961928.
    private const double HalfGap = 0.30380720 / 2;

    // Half of the widest gap between two values of the scales' tree, from 0.99296875 to 1; −1 has the value below as its nearest.
    private const double HalfScaleGap = 0.00703125;

    // 2, −2, 0, 1, 1.01, −0.1 and 58 zeros. The largest magnitude is 2. 1/2 is below the middle of levels 12 and 13, 0.501663, and 0.505
    // above it. −0.05 is below −0.045525, the middle of levels 6 and 7. So the codes are 15, 0, 7, 12, 13, 6 and 7 for each 0.
    [Fact]
    public void Quantize_gives_the_bytes_worked_out_by_hand_for_one_block()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor weight = zeros(1, 64);
        weight[0, ..6] = tensor(new[] { 2, -2, 0, 1, 1.01f, -0.1f });
        Nf4Data data = Nf4Quantizer.Quantize(weight);

        // A single scale is the mean, so its deviation is 0: code 127 of the tree, group scale 0.
        byte[] zeroes = [.. Enumerable.Repeat((byte)0x77, 29)];
        Assert.Equal([127, 0xF0, 0x7C, 0xD6, .. zeroes], data.Bytes.data<byte>().ToArray());
        Assert.Equal([2, 0], data.Floats.data<float>().ToArray());
        Assert.Equal(
            [2, -2, 0, 2 * 0.44070982933044434f, 2 * 0.5626170039176941f, 2 * -0.09105003625154495f, 0, 0],
            Nf4Weight.Dequantize(data, ScalarType.Float32).data<float>().ToArray()[..8]);
    }

    // Scales 1 and 3: mean 2, deviations −1 and 1, group scale 1. −1 is nearest to the tree's lowest value, −0.99296875, and 1 is a value.
    [Fact]
    public void Quantize_rounds_the_scales_of_two_blocks_to_8_bits()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor weight = ones(2, 64);
        weight[1] = -3;
        Nf4Data data = Nf4Quantizer.Quantize(weight);

        Assert.Equal([2, 1], data.Floats.data<float>().ToArray());
        Assert.Equal([0, 255], data.Bytes.data<byte>().ToArray()[..2]);
        Tensor numbers = Nf4Weight.Dequantize(data, ScalarType.Float32);
        Assert.Equal(1.00703125, numbers[0, 5].item<float>(), 1e-6);
        Assert.Equal(-3, numbers[1, 5].item<float>());
    }

    [Theory]
    [InlineData(1, 1, 1, 1)]             // a block of one number and 63 zeros
    [InlineData(3, 40, 2, 1)]            // 120 numbers
    [InlineData(300, 64, 300, 2)]        // 300 blocks
    [InlineData(4864, 896, 68_096, 266)] // up_proj of the 0.5B model
    public void Layout_counts_whole_blocks_and_groups(long outputs, long inputs, long blocks, long groups)
    {
        var layout = new Nf4Layout(outputs, inputs);
        Assert.Equal((blocks, groups), (layout.Blocks, layout.Groups));
        Assert.Equal((33 * blocks, 1 + groups, (33 * blocks) + (4 * (1 + groups))), (layout.Bytes, layout.Floats, layout.Size));
    }

    [Fact]
    public void A_number_is_off_by_half_a_gap_and_the_rounding_of_the_scale() =>
        Gen.Select(Gen.Int[1, 40], Gen.Int[1, 200], Gen.Double[0, 3], Gen.ULong).Sample((outputs, inputs, spread, seed) =>
        {
            using var scope = TensorScope.BeginNoGrad();
            using var generator = new Generator(seed);
            // Rows of very different sizes, as with outliers.
            Tensor weight = randn([outputs, inputs], generator: generator) * (randn([outputs, 1], generator: generator) * spread).exp();
            Nf4Data data = Nf4Quantizer.Quantize(weight);
            float[] numbers = [.. weight.view(-1).data<float>()];
            float[] rounded = [.. Nf4Weight.Dequantize(data, ScalarType.Float32).reshape(-1).data<float>()];
            float[] groups = [.. data.Floats.data<float>()];
            for (int block = 0; block < data.Layout.Blocks; block++)
            {
                int start = block * 64, end = Math.Min(numbers.Length, start + 64);
                double largest = numbers[start..end].Max(Math.Abs);
                double bound = (HalfGap * largest) + (HalfScaleGap * groups[1 + (block / 256)]) + (1e-6 * largest);
                for (int i = start; i < end; i++)
                {
                    Assert.True(Math.Abs(numbers[i] - rounded[i]) <= bound, $"{numbers[i]} became {rounded[i]}, bound {bound}");
                }
            }
        }, iter: 100, threads: 1);

    [Fact]
    public void Numbers_that_are_levels_of_equal_blocks_come_back_exactly()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor weight = tensor(Nf4Codes.Levels.ToArray()).repeat(8).view(2, 64) * 0.37f; // both scales are 0.37
        Nf4Data data = Nf4Quantizer.Quantize(weight);
        TensorAssert.Identical(weight, Nf4Weight.Dequantize(data, ScalarType.Float32), "weight");
    }

    // A zero has the level 0, whatever the scale of its block is rounded to. 3 · 70 numbers end within a block.
    [Fact]
    public void Zeros_stay_zeros()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor weight = zeros(3, 70);
        TensorAssert.Identical(weight, Nf4Weight.Dequantize(Nf4Quantizer.Quantize(weight), ScalarType.Float32), "zeros");
        weight[0] = 5;
        weight[2] = -1e-30f;
        Tensor numbers = Nf4Weight.Dequantize(Nf4Quantizer.Quantize(weight), ScalarType.Float32);
        Assert.True(numbers.isfinite().all().item<bool>());
        Assert.Equal(0, numbers.view(-1)[128..140].abs().max().item<float>()); // zeros among 5s before and −1e-30 after, in one block
    }

    [Fact]
    public void Equal_weights_give_equal_bytes_whatever_the_number_of_threads()
    {
        int threads = get_num_threads();
        try
        {
            using var scope = TensorScope.BeginNoGrad();
            Tensor weight = randn(400, 3000);
            set_num_threads(1);
            Nf4Data one = Nf4Quantizer.Quantize(weight);
            set_num_threads(3);
            Nf4Data three = Nf4Quantizer.Quantize(weight);
            TensorAssert.Identical(one.Bytes, three.Bytes, "bytes");
            TensorAssert.Identical(one.Floats, three.Floats, "floats");
            TensorAssert.Identical(
                Nf4Weight.Dequantize(one, ScalarType.Float32), Nf4Weight.Dequantize(three, ScalarType.Float32), "numbers");
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(float.PositiveInfinity)]
    [InlineData(float.NegativeInfinity)]
    public void Quantize_refuses_a_number_that_is_not_finite(float number)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor weight = randn(5, 70);
        weight[2, 3] = number;
        ErrorAssert.Says<InvalidDataException>("[5, 70] holds NaN or an infinite number", () => Nf4Quantizer.Quantize(weight));
    }
}
