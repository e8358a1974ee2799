using Grpo.Modeling;
using Grpo.Models.Qwen.Decoding;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Planning;
using Grpo.Models.Qwen.Tests.Text;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using Grpo.Testing;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>Products in bfloat16 of weights that stay float32.</summary>
[Collection(LiveTensors.Name)]
public sealed class ComputeTypeTests
{
    private static readonly TokenSequence[] Group = [new([1, 2, 3], [4, 5]), new([6], [7, 8, 9, 1]), new([1, 2, 3], [9]), new(
        [10, 11], [12, 13, 14])];

    [Theory]
    [InlineData("qwen2", true, true)]
    [InlineData("qwen2", true, false)]
    [InlineData("qwen2", false, true)]
    [InlineData("qwen2", false, false)]
    [InlineData("qwen3", true, true)]
    [InlineData("llama", false, false)]
    [InlineData("llama with biases", false, true)]
    public void Log_probs_and_gradients_are_those_of_a_copy_in_bfloat16(string family, bool tied, bool share)
    {
        using var policy = new QwenPolicy(Model(tied, family));
        using var copy = new QwenPolicy(policy.Model.Clone(type: ScalarType.BFloat16));
        policy.Model.ComputeType = ScalarType.BFloat16;
        using var scope = TensorScope.Begin();
        Tensor expected = Run(copy, share), actual = Run(policy, share);
        TensorAssert.Identical(expected, actual, "log-probs");
        Assert.Equal(ScalarType.Float32, actual.dtype);
        Dictionary<string, Parameter> copied = copy.Model.named_parameters().ToDictionary(named => named.name, named => named.parameter);
        foreach ((string name, Parameter weight) in policy.Model.named_parameters())
        {
            Tensor gradient = weight.grad!, rounded = copied[name].grad!.to(ScalarType.Float32);
            Assert.Equal(ScalarType.Float32, gradient.dtype);
            if (name.Contains("layers", StringComparison.Ordinal))
            {
                TensorAssert.Identical(rounded, gradient, name);
            }
            else
            {
                // Embedding and head are added up in float32, the copy's in 16 bits.
                TensorAssert.Near(rounded, gradient, 0.01 * rounded.abs().max().item<float>(), name);
            }
        }
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Rounding_moves_log_probs_and_gradients_by_what_8_bits_of_mantissa_leave(bool tied)
    {
        using var policy = new QwenPolicy(Model(tied));
        using var scope = TensorScope.Begin();
        Tensor expected = Run(policy, share: true);
        Tensor[] gradients = [.. policy.Model.parameters().Select(weight => weight.grad!.clone())];
        policy.Model.ComputeType = ScalarType.BFloat16;
        Tensor actual = Run(policy, share: true);
        TensorAssert.Near(expected, actual, 0.03 * expected.abs().max().item<float>(), "log-probs");
        Assert.False(expected.equal(actual).all().item<bool>());
        double largest = gradients.Max(gradient => gradient.abs().max().item<float>());
        foreach ((Tensor gradient, (string name, Parameter weight)) in gradients.Zip(policy.Model.named_parameters()))
        {
            TensorAssert.Near(gradient, weight.grad!, 0.1 * largest, name);
        }
    }

    [Fact]
    public void Checkpointing_leaves_the_gradients_as_they_are_to_the_bit()
    {
        using var policy = new QwenPolicy(Model());
        policy.Model.ComputeType = ScalarType.BFloat16;
        using var scope = TensorScope.Begin();
        Tensor expected = Run(policy, share: true);
        Tensor[] gradients = [.. policy.Model.parameters().Select(weight => weight.grad!.clone())];
        policy.Model.GradientCheckpointing = true;
        TensorAssert.Identical(expected, Run(policy, share: true), "log-probs");
        foreach ((Tensor gradient, (string name, Parameter weight)) in gradients.Zip(policy.Model.named_parameters()))
        {
            TensorAssert.Identical(gradient, weight.grad!, name);
        }
    }

    [Fact]
    public void The_reference_is_a_copy_in_16_bits_that_begins_where_the_policy_is()
    {
        using var policy = new QwenPolicy(Model());
        policy.Model.ComputeType = ScalarType.BFloat16;
        using var reference = QwenReferenceModel.CopyOf(policy);
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch batch = TokenBatchBuilder.Build(Group, padTokenId: 0, CPU, sharePrompts: true);
        Assert.Equal(ScalarType.BFloat16, ((CausalLM)reference.Module).WeightType);
        TensorAssert.Identical(policy.LogProbs(batch, 0.8), reference.LogProbs(batch, 0.8), "log-probs");
    }

    [Fact]
    public void A_cpu_decodes_in_float32()
    {
        using CausalLM model = Model();
        Tensor expected = Decode(model, copies: null);
        model.ComputeType = ScalarType.BFloat16;
        Tensor actual = Decode(model, copies: null);
        TensorAssert.Identical(expected, actual, "logits");
        expected.Dispose();
        actual.Dispose();
    }

    [Fact]
    public void A_session_that_decodes_a_copy_gives_its_logits_and_frees_it()
    {
        using CausalLM model = Model();
        using (CausalLM copy = model.Clone(type: ScalarType.BFloat16))
        {
            model.ComputeType = ScalarType.BFloat16;
            Tensor expected = Decode(copy, copies: null), actual = Decode(model, copies: true);
            Assert.Equal(ScalarType.BFloat16, actual.dtype);
            TensorAssert.Identical(expected, actual, "logits");
            expected.Dispose();
            actual.Dispose();
        }

        // TorchSharp counts a parameter twice and its end once.
        long ofCopies = LiveTensors.GrowthOf(() => model.Clone(type: ScalarType.BFloat16).Dispose());
        Assert.Equal(ofCopies, LiveTensors.GrowthOf(() => Decode(model, copies: true).Dispose()));
    }

    [Fact]
    public void An_update_changes_float32_weights_by_less_than_bfloat16_could_hold()
    {
        using var policy = new QwenPolicy(Model());
        policy.Model.ComputeType = ScalarType.BFloat16;
        using var scope = TensorScope.Begin();
        Tensor[] before = [.. policy.Model.parameters().Select(weight => weight.detach().clone())];
        using var optimizer = new GrpoOptimizer(
            policy, new FixedSampler(), RewardFunction.Create("none", (_, _) => 0),
            new GrpoOptions { LearningRate = 1e-6, GroupSize = 2, MaxGradientNorm = null });
        Completion[] completions = [new([4, 5, 6], "a", FinishReason.EndToken), new([7, 8], "b", FinishReason.EndToken)];
        UpdateReport report = Assert.Single(optimizer.Update(
            [new ScoredGroup(new RolloutGroup(new Prompt { Id = "1", Messages = [] }, [1, 2, 3], completions), [1, 0], [1, -1])]));
        Assert.True(report.GradientNorm > 0);
        foreach ((Tensor old, Parameter weight) in before.Zip(policy.Model.parameters()))
        {
            Assert.Equal(ScalarType.Float32, weight.dtype);
            // Adam's first step is the learning rate, whatever the gradient; weights of 1 and more round it.
            Assert.InRange((weight - old).abs().max().item<float>(), 0.9e-6, 1.2e-6);
        }
    }

    [Fact]
    public void Types_that_cannot_be_computed_in_are_refused()
    {
        using CausalLM model = Model();
        ArgumentException error = Assert.Throws<ArgumentException>(() => model.ComputeType = ScalarType.Float16);
        Assert.Contains(
            "ComputeType is Float16 but must be Float32, as the weights are, or BFloat16.", error.Message, StringComparison.Ordinal);
        using CausalLM copy = model.Clone(type: ScalarType.BFloat16);
        Assert.Equal(ScalarType.BFloat16, copy.ComputeType);
        error = Assert.Throws<ArgumentException>(() => copy.ComputeType = ScalarType.Float32);
        Assert.Contains(
            "ComputeType is Float32 but must be BFloat16, as the weights are; another one is for Float32 weights.", error.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_checkpoint_is_loaded_into_float32_and_computes_in_bfloat16()
    {
        using var folder = new TemporaryFolder();
        using (var model = CausalLM.Initialize(TinyModels.Config() with { VocabularySize = 264 }, seed: 7))
        {
            QwenWeights.Save(model, folder.Path, ScalarType.BFloat16);
        }

        TinyTokenizer.Load(TinyTokenizer.TokenizerJson()).Save(folder.Path);
        using QwenPretrained qwen = await QwenPretrained.LoadAsync(
            folder.Path, new QwenLoadOptions { ComputeType = ScalarType.BFloat16, WithReference = true });
        Assert.Equal((ScalarType.Float32, ScalarType.BFloat16), (qwen.Policy.Model.WeightType, qwen.Policy.Model.ComputeType));
        Assert.Equal(ScalarType.BFloat16, ((QwenMemory)qwen.Policy.Memory).ComputeType);
        Assert.Equal(ScalarType.BFloat16, ((CausalLM)((QwenReferenceModel)qwen.Reference!).Module).WeightType);

        var contradiction = new QwenLoadOptions { KeepStoredType = true, ComputeType = ScalarType.Float32 };
        ArgumentException error = await Assert.ThrowsAsync<ArgumentException>(() => QwenPretrained.LoadAsync(folder.Path, contradiction));
        Assert.Contains("ComputeType is Float32 but must be BFloat16", error.Message, StringComparison.Ordinal);
    }

    private static CausalLM Model(bool tied = true, string family = "qwen2") => TinyModels.Uneven(TinyModels.Config(tied, family), seed: 5);

    private static Tensor Run(QwenPolicy policy, bool share)
    {
        policy.Module.zero_grad();
        TokenBatch batch = TokenBatchBuilder.Build(Group, padTokenId: 0, CPU, share);
        Tensor logProbs = policy.LogProbs(batch, 0.8);
        using var generator = new Generator(11);
        (logProbs * randn(logProbs.shape, generator: generator)).sum().backward();
        return logProbs.detach();
    }

    // Prefill and a step of two rows each.
    private static Tensor Decode(CausalLM model, bool? copies)
    {
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch prompts = TokenBatchBuilder.Build([new([1, 2, 3], []), new([6], [])], padTokenId: 0, CPU);
        using var session = new DecodingSession(
            model, prompts, new DecodingOptions(GroupSize: 2, MaxNewTokens: 3) { Copies = copies });
        return scope.Release(cat([session.Prefill(), session.Advance(tensor(new long[] { 4, 5, 6, 7 }))], 0));
    }
}
