using CsCheck;
using Grpo.Modeling;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Cpu;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

public sealed class DecodingLinearTests
{
    // Widths and heights on both sides of what the kernels take; the sums of 96 products of order 1 round to about 1e-5.
    private static readonly Gen<(int Rows, int Width, int Outputs, bool HasBias, int Seed)> Cases =
        Gen.Select(Gen.Int[1, 40], OneOf(16, 32, 40, 96), OneOf(4, 68, 70, 132), Gen.Bool, Gen.Int[1, int.MaxValue]);

    [Fact]
    public void Apply_equals_the_general_product() => Cases.Sample(given =>
    {
        using var scope = TensorScope.BeginNoGrad();
        (Tensor input, Tensor weight, Tensor? bias) = Random(given);
        Tensor output = DecodingLinear.Apply(input, weight, bias, int8: null);
        TensorAssert.Near(nn.functional.linear(input, weight, bias), output, 5e-5);
    }, iter: 200, threads: 1);

    [Fact]
    public void A_rows_result_does_not_depend_on_its_neighbors_to_the_last_bit()
    {
        using var scope = TensorScope.BeginNoGrad();
        (Tensor input, Tensor weight, _) = Random((Rows: 32, Width: 96, Outputs: 132, HasBias: false, Seed: 5));
        Tensor together = DecodingLinear.Apply(input, weight, bias: null, int8: null);
        foreach (int rows in new[] { 1, 2, 3, 7, 31 })
        {
            Tensor some = DecodingLinear.Apply(input.narrow(0, 32 - rows, rows), weight, bias: null, int8: null);
            Assert.Equal(together.narrow(0, 32 - rows, rows).data<float>().ToArray(), some.data<float>().ToArray());
        }
    }

    [Fact]
    public void Int8_equals_the_product_of_the_rounded_numbers() =>
        Gen.Select(Gen.Int[1, 9], OneOf(32, 96), OneOf(4, 68), Gen.Int[1, int.MaxValue]).Sample((rows, width, outputs, seed) =>
        {
            using var scope = TensorScope.BeginNoGrad();
            (Tensor input, Tensor weight, _) = Random((rows, width, outputs, HasBias: false, seed));
            using var rounded = new Int8Weight(weight);
            Tensor expected = nn.functional.linear(Rounded(input), Rounded(weight));
            TensorAssert.Near(expected, rounded.Multiply(input), 1e-4);
        }, iter: 100, threads: 1);

    [Fact]
    public void Int8_takes_a_row_of_zeros_and_shows_one_that_is_not_finite()
    {
        using var scope = TensorScope.BeginNoGrad();
        using var weight = new Int8Weight(ones(4, 32));
        Tensor input = zeros(3, 32);
        input[1, 5] = float.NaN;
        input[2, 7] = float.PositiveInfinity;
        Tensor output = weight.Multiply(input);
        Assert.Equal([0f, 0f, 0f, 0f], output[0].data<float>().ToArray());
        Assert.All(output.narrow(0, 1, 2).data<float>().ToArray(), value => Assert.True(float.IsNaN(value)));
    }

    [Fact]
    public void A_weight_whose_shape_does_not_suit_8_bits_stays_as_it_is()
    {
        using CausalLM model = TinyModels.Create();    // widths of 24 and 40
        using var int8 = new Int8Weights(model.ProjectionWeights());
        Assert.Null(int8.Find(model.HeadWeight, rows: 1));
        using CausalLM wide = CausalLM.Initialize(WideConfig, seed: 3);
        using var wideInt8 = new Int8Weights(wide.ProjectionWeights());
        Assert.NotNull(wideInt8.Find(wide.HeadWeight, rows: 64));
        Assert.Null(wideInt8.Find(wide.HeadWeight, rows: 65));
    }

    [Theory]
    [InlineData(false, 0, 2e-5)]
    [InlineData(true, 1e-4, 0.1)]     // rounded to 8 bits: not the same, and not far away
    public void Decoded_log_probs_are_near_those_of_training(bool rounds, double atLeast, double atMost)
    {
        using var policy = new QwenPolicy(CausalLM.Initialize(WideConfig, seed: 3)) { Int8Rollouts = rounds };
        using var scope = TensorScope.BeginNoGrad();
        using IDecodingSession session = policy.StartDecoding(
            DecodingSessionTests.Prompts([[1, 2, 3], [4, 5]]), groupSize: 2, maxNewTokens: 3);
        session.Prefill();
        session.Advance(DecodingSessionTests.Ids([10, 11, 12, 13]));
        Tensor decoded = session.Advance(DecodingSessionTests.Ids([20, 21, 22, 23])).log_softmax(1);      // [4, V]
        int[][] rows = [[1, 2, 3, 10, 20], [1, 2, 3, 11, 21], [4, 5, 12, 22], [4, 5, 13, 23]];
        double largest = Enumerable.Range(0, 4).Max(row =>
            (policy.Model.call(DecodingSessionTests.Ids(rows[row]).unsqueeze(0), null)[0, -1].log_softmax(0) - decoded[row]).abs()
                .max().item<float>());
        Assert.InRange(largest, atLeast, atMost);
    }

    private static Gen<int> OneOf(params int[] values) => Gen.Int[0, values.Length - 1].Select(index => values[index]);

    private static DecoderConfig WideConfig => TinyModels.Config() with
    {
        VocabularySize = 64,
        HiddenSize = 96,
        IntermediateSize = 160,
        AttentionHeadCount = 6,
        KeyValueHeadCount = 2,
        InitializerRange = 0.1,
    };

    private static (Tensor Input, Tensor Weight, Tensor? Bias) Random((int Rows, int Width, int Outputs, bool HasBias, int Seed) given)
    {
        using var generator = new Generator((ulong)given.Seed);
        return (randn([given.Rows, given.Width], generator: generator), randn([given.Outputs, given.Width], generator: generator),
            given.HasBias ? randn([given.Outputs], generator: generator) : null);
    }

    private static Tensor Rounded(Tensor rows)
    {
        Tensor scales = rows.abs().amax([1], keepdim: true) / 127;
        return (rows * (1 / scales)).round() * scales;
    }
}
