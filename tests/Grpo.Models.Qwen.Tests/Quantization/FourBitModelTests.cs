using Grpo.Modeling;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests.Quantization;

/// <summary>A model with a base in 4 bits computes what a float model with the same numbers computes, to the last bit.</summary>
[Collection(LiveTensors.Name)]
public sealed class FourBitModelTests
{
    private static readonly TokenSequence[] Sequences = [new([1, 2, 3], [4, 5]), new([6], [7, 8, 9]), new([1, 2, 3], [10])];

    [Theory]
    [InlineData(false, false, ScalarType.Float32, ScalarType.Float32)]
    [InlineData(true, false, ScalarType.Float32, ScalarType.Float32)]
    [InlineData(false, true, ScalarType.Float32, ScalarType.Float32)]
    [InlineData(true, true, ScalarType.Float32, ScalarType.BFloat16)]
    [InlineData(false, false, ScalarType.BFloat16, ScalarType.BFloat16)]
    public void Log_probs_and_gradients_are_those_of_its_numbers(bool shared, bool checkpointing, ScalarType type, ScalarType computeType)
    {
        foreach (DecoderConfig config in TinyModels.Families.SelectMany(Configs))
        {
            using QwenPolicy policy = FourBitModels.Policy(config, type);
            policy.Model.ComputeType = computeType;
            policy.Model.GradientCheckpointing = checkpointing;
            using var numbers = new QwenPolicy(policy.Model.Dequantize());
            Assert.Equal((true, false), (policy.Model.HasFourBitBase, numbers.Model.HasFourBitBase));
            using var scope = TensorScope.Begin();
            (Tensor logProbs, Dictionary<string, Tensor> gradients) = Run(policy, shared);
            (Tensor expected, Dictionary<string, Tensor> expectedGradients) = Run(numbers, shared);
            TensorAssert.Identical(expected, logProbs, "log-probs");
            Assert.Equal(28, gradients.Count);
            Assert.Equal(expectedGradients.Keys.Order(), gradients.Keys.Order());
            Assert.All(gradients, entry => TensorAssert.Identical(expectedGradients[entry.Key], entry.Value, entry.Key));
            Assert.True(gradients.Values.All(gradient => gradient.abs().max().item<float>() > 0));
        }
    }

    [Theory]
    [MemberData(nameof(TinyModels.AllFamilies), MemberType = typeof(TinyModels))]
    public void Rollouts_are_those_of_its_numbers(string family) => Assert.All(Configs(family), AssertSameRollouts);

    private static void AssertSameRollouts(DecoderConfig config)
    {
        using QwenPolicy policy = FourBitModels.Policy(config);
        using var numbers = new QwenPolicy(policy.Model.Dequantize());
        using var scope = TensorScope.BeginNoGrad();
        using IDecodingSession session = policy.StartDecoding(DecodingSessionTests.Prompts([[1, 2], [3]]), groupSize: 2, maxNewTokens: 3);
        using IDecodingSession expected = numbers.StartDecoding(
            DecodingSessionTests.Prompts([[1, 2], [3]]), groupSize: 2, maxNewTokens: 3);
        TensorAssert.Identical(expected.Prefill(), session.Prefill(), "prompts");
        for (int token = 4; token < 6; token++)
        {
            Tensor ids = DecodingSessionTests.Ids([token, 1, 2, token]);
            TensorAssert.Identical(expected.Advance(ids), session.Advance(ids), $"token {token}");
        }
    }

    [Fact]
    public void The_reference_is_the_rounded_base_bit_for_bit()
    {
        using CausalLM plain = FourBitModels.Base();
        using var numbers = new QwenReferenceModel(plain.Dequantize());
        using QwenPolicy policy = FourBitModels.Policy();
        using var scope = TensorScope.BeginNoGrad();
        Tensor reference = new AdapterOffReference(policy).LogProbs(LoraModels.Batch, 0.8);
        TensorAssert.Identical(numbers.LogProbs(LoraModels.Batch, 0.8), reference, "numbers");
        TensorAssert.Identical(new QwenPolicy(plain).LogProbs(LoraModels.Batch, 0.8), reference, "base");
        Assert.True((policy.LogProbs(LoraModels.Batch, 0.8) - reference).abs().max().item<float>() > 0.01);
    }

    [Fact]
    public void Rounding_changes_the_model_a_little()
    {
        using CausalLM numbers = CausalLM.Initialize(TinyModels.CpuConfig(), seed: 7);
        using var rounded = new CausalLM(numbers.Config, fourBitBase: true);
        rounded.CopyWeightsFrom(numbers);
        using var scope = TensorScope.BeginNoGrad();
        Tensor difference = new QwenPolicy(numbers).LogProbs(LoraModels.Batch, 1) - new QwenPolicy(rounded).LogProbs(LoraModels.Batch, 1);
        Assert.InRange(difference.abs().max().item<float>(), 1e-3, 1);
    }

    [Fact]
    public void A_copy_has_the_same_bytes_and_a_base_can_be_replaced()
    {
        using QwenPolicy policy = FourBitModels.Policy();
        using CausalLM copy = policy.Model.Clone(), other = FourBitModels.Base(seed: 8);
        Assert.True(copy.HasFourBitBase);
        Assert.Equal(policy.Model.DescribeWeights(), copy.DescribeWeights());
        Assert.NotEqual(policy.Model.DescribeWeights(), other.DescribeWeights());
        using var scope = TensorScope.BeginNoGrad();
        TensorAssert.Identical(
            policy.LogProbs(LoraModels.Batch, 1), new QwenPolicy(copy).LogProbs(LoraModels.Batch, 1), "log-probs of the copy");
    }

    // Gradients reach neither the packed weights nor the biases of their products, so training the rest would be another method.
    [Theory]
    [MemberData(nameof(TinyModels.AllFamilies), MemberType = typeof(TinyModels))]
    public void A_base_in_4_bits_trains_nothing_without_an_adapter(string family)
    {
        using var policy = new QwenPolicy(FourBitModels.Base(TinyModels.Config(family: family)));
        Assert.Empty(policy.TrainedParameters());
        using QwenPolicy numbers = policy.Dequantize();
        Assert.Equal(DecoderParameters.List(policy.Model.Config).Count(), numbers.TrainedParameters().Count);
    }

    [Fact]
    public void A_merged_copy_of_the_numbers_computes_the_same()
    {
        using QwenPolicy policy = FourBitModels.Policy();
        ErrorAssert.Says<InvalidOperationException>("Merge a copy of QwenPolicy.Dequantize", policy.MergeAdapter);
        Assert.False(policy.Model.Adapter!.IsMerged);
        using QwenPolicy merged = policy.Dequantize();
        merged.MergeAdapter();
        using var scope = TensorScope.BeginNoGrad();
        // the rounding of float32 weights
        TensorAssert.Near(policy.LogProbs(LoraModels.Batch, 1), merged.LogProbs(LoraModels.Batch, 1), 2e-5, "log-probs");
        ErrorAssert.Says<InvalidOperationException>("The base is not in 4 bits", () => merged.Dequantize());
    }

    [Fact]
    public void A_base_in_4_bits_is_not_saved_as_a_checkpoint()
    {
        using var folder = new TemporaryFolder();
        using CausalLM model = FourBitModels.Base();
        ErrorAssert.Says<InvalidOperationException>(
            "in 4 bits, which a checkpoint does not hold", () => QwenWeights.Save(model, folder.Path));
        Assert.Empty(Directory.GetFiles(folder.Path));
    }

    [Fact]
    public void Rollouts_in_8_bits_are_refused()
    {
        using QwenPolicy policy = FourBitModels.Policy();
        policy.Int8Rollouts = true;
        ErrorAssert.Says<NotSupportedException>(
            "the base is in 4 bits, which are not rounded again",
            () => policy.StartDecoding(DecodingSessionTests.Prompts([[1]]), groupSize: 1, maxNewTokens: 1));
    }

    [Fact]
    public void Identity_says_that_the_base_is_in_4_bits()
    {
        using QwenPolicy policy = FourBitModels.Policy();
        using var numbers = new QwenPolicy(policy.Model.Dequantize());
        Assert.Equal(
            ["weights", "base in 4 bits"], policy.Identity.Facts.Except(numbers.Identity.Facts).Select(fact => fact.Key));
        Assert.Equal("NF4", new AdapterOffReference(policy).Identity.Facts.Single(fact => fact.Key == "base in 4 bits").Value);
        Assert.DoesNotContain(numbers.Identity.Facts, fact => fact.Key == "base in 4 bits");
    }

    [Fact]
    public void Live_tensors_do_not_grow()
    {
        using QwenPolicy policy = FourBitModels.Policy();
        Assert.Equal(0, LiveTensors.GrowthOf(() =>
        {
            using var scope = TensorScope.Begin();
            policy.LogProbs(TokenBatchBuilder.Build(Sequences, padTokenId: 0, CPU, sharePrompts: true), 1).sum().backward();
            using IDecodingSession session = policy.StartDecoding(DecodingSessionTests.Prompts([[1, 2]]), groupSize: 2, maxNewTokens: 2);
            session.Prefill();
            session.Advance(DecodingSessionTests.Ids([3, 4]));
        }));
    }

    // Rows of whole blocks, and rows that share blocks.
    private static DecoderConfig[] Configs(string family) =>
        [TinyModels.Config(family: family), TinyModels.CpuConfig(tied: false, family)];

    private static (Tensor LogProbs, Dictionary<string, Tensor> Gradients) Run(QwenPolicy policy, bool shared)
    {
        Tensor logProbs = policy.LogProbs(TokenBatchBuilder.Build(Sequences, padTokenId: 0, CPU, shared), 0.8);
        (logProbs * logProbs.detach()).sum().backward();
        return (logProbs.detach(), policy.TrainedParameters().ToDictionary(named => named.Name, named => named.Parameter.grad!.clone()));
    }
}
