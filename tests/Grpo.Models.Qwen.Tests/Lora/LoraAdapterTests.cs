using Grpo.Modeling;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

public sealed class LoraAdapterTests
{
    [Theory]
    [MemberData(nameof(TinyModels.AllFamilies), MemberType = typeof(TinyModels))]
    public void A_fresh_adapter_changes_nothing_and_alone_is_trained(string family)
    {
        using CausalLM model = TinyModels.Uneven(TinyModels.Config(family: family));
        using var policy = new QwenPolicy(model);
        using var scope = TensorScope.Begin();
        Tensor before = policy.LogProbs(LoraModels.Batch, 1).detach();
        model.AddAdapter(LoraModels.Options);

        TensorAssert.Identical(before, policy.LogProbs(LoraModels.Batch, 1).detach(), "log-probs");
        Assert.Equal(2 * 7 * 2, policy.TrainedParameters().Count); // layers, projections, A and B
        Assert.All(policy.TrainedParameters(), trained => Assert.Matches(@"_proj\.lora_[AB]\.weight$", trained.Name));
        Assert.All(policy.TrainedParameters(), trained => Assert.Equal(ScalarType.Float32, trained.Parameter.dtype));
        Assert.Equal(policy.TrainedParameters().Select(trained => trained.Name).Order(StringComparer.Ordinal),
            model.Adapter!.Parameters().Select(named => named.Name).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_begins_uniform_within_one_over_the_root_of_its_width_and_B_at_zero()
    {
        using CausalLM model = TinyModels.Create();
        model.AddAdapter(new LoraOptions { Rank = 64 });
        Dictionary<string, Parameter> weights = model.Adapter!.Parameters().ToDictionary(named => named.Name, named => named.Parameter);
        using var scope = TensorScope.BeginNoGrad();
        Tensor down = weights["model.layers.1.mlp.down_proj.lora_A.weight"];                             // [64, 40]
        double bound = 1 / Math.Sqrt(40);
        Assert.Equal([64, 40], down.shape);
        Assert.InRange(down.abs().max().item<float>(), 0.99 * bound, bound);
        Assert.Equal(0, down.mean().item<float>(), 0.01);
        // The deviation of a uniform number in ±b is b / √3.
        Assert.Equal(bound / Math.Sqrt(3), down.std().item<float>(), 0.003);
        Assert.All(
            weights.Where(entry => entry.Key.EndsWith("lora_B.weight", StringComparison.Ordinal)),
            entry => Assert.Equal(0, entry.Value.abs().sum().item<float>()));
        Assert.NotEqual(down[0, 0].item<float>(), weights["model.layers.0.mlp.down_proj.lora_A.weight"][0, 0].item<float>());
    }

    [Fact]
    public void The_same_seed_gives_the_same_start_and_another_another()
    {
        using CausalLM first = TinyModels.Create(), second = TinyModels.Create(), other = TinyModels.Create();
        first.AddAdapter(LoraModels.Options);
        second.AddAdapter(LoraModels.Options);
        other.AddAdapter(LoraModels.Options with { Seed = 6 });
        using var scope = TensorScope.BeginNoGrad();
        LoraModels.AssertSame(LoraModels.Weights(first), second);
        Assert.False(
            first.Adapter!.Parameters().First().Parameter.bytes.SequenceEqual(other.Adapter!.Parameters().First().Parameter.bytes));
    }

    [Theory]
    [InlineData(false, 2.0)]
    [InlineData(true, 3.4641016)] // 6 / √3
    public void The_output_is_that_of_weights_to_which_the_scaled_product_was_added(bool rankStabilized, double scale)
    {
        string[] targets = ["k_proj", "down_proj"];
        using QwenPolicy policy = LoraModels.Policy(
            LoraModels.Options with { TargetModules = targets, UseRankStabilizedScale = rankStabilized }, tied: false);
        using var expected = new QwenPolicy(TinyModels.Create(tied: false));
        using var scope = TensorScope.BeginNoGrad();
        Dictionary<string, Parameter> adapter = policy.Model.Adapter!.Parameters()
            .ToDictionary(named => named.Name, named => named.Parameter);
        Assert.Equal(8, adapter.Count); // two layers, two projections, A and B
        foreach ((string name, Parameter parameter) in expected.Model.named_parameters())
        {
            string module = name[..name.LastIndexOf('.')];
            if (name.EndsWith(".weight", StringComparison.Ordinal) && adapter.TryGetValue($"{module}.lora_A.weight", out Parameter? down))
            {
                parameter.add_(adapter[$"{module}.lora_B.weight"].mm(down) * scale);
            }
        }

        TensorAssert.Near(expected.LogProbs(LoraModels.Batch, 1), policy.LogProbs(LoraModels.Batch, 1), 2e-5);
    }

    [Theory]
    [MemberData(nameof(TinyModels.AllFamilies), MemberType = typeof(TinyModels))]
    public void With_the_adapter_off_log_probs_are_bit_for_bit_those_of_the_base(string family)
    {
        using QwenPolicy policy = LoraModels.Policy(family: family);
        using var bare = new QwenPolicy(CausalLM.Initialize(TinyModels.Config(family: family), seed: 7));
        var reference = new AdapterOffReference(policy);
        using var scope = TensorScope.Begin();
        Tensor with = policy.LogProbs(LoraModels.Batch, 0.8).detach();
        Tensor without = reference.LogProbs(LoraModels.Batch, 0.8);

        TensorAssert.Identical(bare.LogProbs(LoraModels.Batch, 0.8).detach(), without, "log-probs");
        Assert.False(without.requires_grad);
        Assert.Null(((IReferenceModel)reference).Module);
        TensorAssert.Identical(with, policy.LogProbs(LoraModels.Batch, 0.8).detach(), "the adapter is on again");
        Assert.True((with - without).abs().max().item<float>() > 0.01);
    }

    [Fact]
    public void A_failed_pass_of_the_reference_leaves_the_adapter_on()
    {
        using QwenPolicy policy = LoraModels.Policy();
        using var scope = TensorScope.BeginNoGrad();
        Tensor before = policy.LogProbs(LoraModels.Batch, 1);
        Assert.Throws<ArgumentOutOfRangeException>(() => new AdapterOffReference(policy).LogProbs(LoraModels.Batch, temperature: 0));
        TensorAssert.Identical(before, policy.LogProbs(LoraModels.Batch, 1), "log-probs");
    }

    [Fact]
    public void A_reference_on_one_thread_leaves_the_policy_on_another_alone()
    {
        using QwenPolicy policy = LoraModels.Policy();
        using var scope = TensorScope.BeginNoGrad();
        Tensor expected = policy.LogProbs(LoraModels.Batch, 1);
        policy.Model.Adapter!.Without(() =>
        {
            var other = new Thread(() =>
            {
                using var inner = TensorScope.BeginNoGrad();
                expected = policy.LogProbs(LoraModels.Batch, 1).sub_(expected).DetachFromDisposeScope();
            });
            other.Start();
            other.Join();
            return expected;
        });
        Assert.Equal(0, expected.abs().max().item<float>());
    }

    [Fact]
    public void A_pass_that_does_not_say_whether_the_adapter_takes_part_is_refused()
    {
        using QwenPolicy policy = LoraModels.Policy();
        using var scope = TensorScope.BeginNoGrad();
        var projection = (Projection)policy.Model.named_modules().Single(named => named.name == "model.layers.0.mlp.up_proj").module;
        var silent = new AttentionContext(zeros(1), zeros(1), Mask: null);
        ErrorAssert.Says<InvalidOperationException>("does not say whether it takes part", () => projection.call(ones(1, 24), silent));
    }

    [Fact]
    public void Decoding_uses_the_adapter()
    {
        using QwenPolicy policy = LoraModels.Policy();
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch batch = TokenBatchBuilder.Build([new([1, 2, 3], [4, 5])], padTokenId: 0, CPU);
        Tensor expected = policy.LogProbs(batch, 1)[0];                                                  // [2]
        using IDecodingSession session = policy.StartDecoding(batch, groupSize: 1, maxNewTokens: 2);
        Assert.Equal(expected[0].item<float>(), session.Prefill().log_softmax(-1)[0, 4].item<float>(), 2e-5);
        Assert.Equal(expected[1].item<float>(), session.Advance(tensor(new long[] { 4 })).log_softmax(-1)[0, 5].item<float>(), 2e-5);
    }

    [Fact]
    public void A_bfloat16_base_stays_what_it_is_and_its_adapter_learns_in_float32()
    {
        using TemporaryFolder folder = new();
        using (CausalLM wide = TinyModels.Create())
        {
            QwenWeights.Save(wide, folder.Path, ScalarType.BFloat16);
        }

        using var policy = new QwenPolicy(QwenWeights.Load(folder.Path, type: ScalarType.BFloat16));
        using var scope = TensorScope.Begin();
        Tensor bare = policy.LogProbs(LoraModels.Batch, 1).detach();
        policy.Model.AddAdapter(LoraModels.Options);
        LoraModels.Train(policy.Model);
        Assert.All(policy.TrainedParameters(), trained => Assert.Equal(ScalarType.Float32, trained.Parameter.dtype));
        Assert.Equal(ScalarType.BFloat16, policy.Model.WeightType);
        TensorAssert.Identical(bare, new AdapterOffReference(policy).LogProbs(LoraModels.Batch, 1), "log-probs");

        policy.LogProbs(LoraModels.Batch, 1).sum().backward();
        using QwenPolicy wideAdapted = LoraModels.Policy();
        wideAdapted.LogProbs(LoraModels.Batch, 1).sum().backward();
        foreach (((string name, Parameter narrow), (_, Parameter expected)) in policy.TrainedParameters()
            .Zip(wideAdapted.TrainedParameters()))
        {
            Assert.Equal(ScalarType.Float32, narrow.grad!.dtype);
            // bfloat16 has 8 bits of mantissa, and the errors of two layers add up.
            Assert.True((narrow.grad! - expected.grad!).norm().item<float>() <= 0.1 * expected.grad!.norm().item<float>(), name);
        }
    }

    [Theory]
    [InlineData("qwen2", ScalarType.Float32, 2e-5)]
    [InlineData("qwen3", ScalarType.Float32, 2e-5)]
    [InlineData("llama", ScalarType.Float32, 2e-5)]
    [InlineData("llama with biases", ScalarType.Float32, 2e-5)]
    [InlineData("qwen2", ScalarType.BFloat16, 0.15)] // merged weights are rounded to 8 bits of mantissa
    public void Merged_log_probs_are_the_unmerged_ones_and_unmerging_restores_the_base_bit_for_bit(
        string family, ScalarType type, double tolerance)
    {
        using CausalLM model = type == ScalarType.Float32 ? TinyModels.Uneven(TinyModels.Config(family: family)) : Narrow();
        model.AddAdapter(LoraModels.Options);
        LoraModels.Train(model);
        using var policy = new QwenPolicy(model);
        using var scope = TensorScope.BeginNoGrad();
        Dictionary<string, Tensor> before = LoraModels.Weights(model);
        Tensor unmerged = policy.LogProbs(LoraModels.Batch, 1);

        policy.MergeAdapter();
        Assert.True(model.Adapter!.IsMerged);
        TensorAssert.Near(unmerged, policy.LogProbs(LoraModels.Batch, 1), tolerance);
        Assert.False(
            before["model.layers.0.mlp.up_proj.weight"].bytes.SequenceEqual(Weight(model, "model.layers.0.mlp.up_proj.weight").bytes));
        Assert.Empty(policy.TrainedParameters());

        policy.UnmergeAdapter();
        LoraModels.AssertSame(before, model);
        TensorAssert.Identical(unmerged, policy.LogProbs(LoraModels.Batch, 1), "log-probs");
        Assert.Equal(28, policy.TrainedParameters().Count);
    }

    [Fact]
    public void A_merged_policy_is_saved_as_an_ordinary_model()
    {
        using TemporaryFolder folder = new();
        using QwenPolicy policy = LoraModels.Policy();
        using var scope = TensorScope.BeginNoGrad();
        policy.MergeAdapter();
        policy.Save(folder.Path);

        using var loaded = new QwenPolicy(QwenWeights.Load(folder.Path));
        Assert.Null(loaded.Model.Adapter);
        TensorAssert.Identical(policy.LogProbs(LoraModels.Batch, 1), loaded.LogProbs(LoraModels.Batch, 1), "log-probs");
    }

    [Fact]
    public void What_a_merged_adapter_rules_out_is_refused()
    {
        using TemporaryFolder folder = new();
        using QwenPolicy policy = LoraModels.Policy();
        ErrorAssert.Says<InvalidOperationException>("not merged: there is nothing to undo", policy.UnmergeAdapter);
        ErrorAssert.Says<InvalidOperationException>(
            "its weights alone are those of the base", () => QwenWeights.Save(policy.Model, folder.Path));
        policy.Save(folder.Path);
        policy.MergeAdapter();
        ErrorAssert.Says<InvalidOperationException>("cannot be merged again", policy.MergeAdapter);
        ErrorAssert.Says<InvalidOperationException>("Call UnmergeAdapter first", () => policy.Load(folder.Path));
        ErrorAssert.Says<InvalidOperationException>(
            "Call UnmergeAdapter first", () => new AdapterOffReference(policy).LogProbs(LoraModels.Batch, 1));
        ErrorAssert.Says<InvalidOperationException>("Call UnmergeAdapter first", () => QwenWeights.LoadInto(policy.Model, folder.Path));
        ErrorAssert.Says<InvalidOperationException>("no longer apart", () => LoraAdapterFiles.Save(policy.Model, folder.Path));
        ErrorAssert.Says<InvalidOperationException>("holds an adapter", () => policy.Save(folder.Path));
    }

    [Fact]
    public void A_model_without_an_adapter_says_so()
    {
        using var policy = new QwenPolicy(TinyModels.Create());
        ErrorAssert.Says<InvalidOperationException>("The policy has no adapter", policy.MergeAdapter);
        ErrorAssert.Says<ArgumentException>("The policy has no adapter", () => _ = new AdapterOffReference(policy));
        ErrorAssert.Says<InvalidOperationException>("The model has no adapter", () => LoraAdapterFiles.Save(policy.Model, "."));
        policy.Model.AddAdapter(new LoraOptions());
        ErrorAssert.Says<InvalidOperationException>("it can have one", () => policy.Model.AddAdapter(new LoraOptions()));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_copy_computes_the_same_whether_merged_or_not(bool merged)
    {
        using QwenPolicy policy = LoraModels.Policy();
        if (merged)
        {
            policy.MergeAdapter();
        }

        using QwenReferenceModel copy = QwenReferenceModel.CopyOf(policy);
        using var scope = TensorScope.BeginNoGrad();
        TensorAssert.Identical(policy.LogProbs(LoraModels.Batch, 1), copy.LogProbs(LoraModels.Batch, 1), "log-probs");
        Assert.Equal(merged, ((CausalLM)copy.Module).Adapter is null);
    }

    [Fact]
    public void Options_out_of_range_are_all_named()
    {
        using CausalLM model = TinyModels.Create();
        var options = new LoraOptions { Rank = 0, Alpha = double.NaN, Dropout = 1, TargetModules = ["q_proj", "lm_head", "q_proj"] };
        string message = Assert.Throws<ArgumentException>(() => model.AddAdapter(options)).Message;
        Assert.StartsWith(
            "Rank is 0 but must be 1 to 8,192. Alpha is NaN but must be above 0 and at most 1,000,000. Dropout is 1 but must be at least 0 "
            + "and below 1. TargetModules names 'lm_head', which cannot be adapted; allowed are q_proj, k_proj, v_proj, o_proj, gate_proj, "
            + "up_proj, down_proj. TargetModules names 'q_proj' more than once.",
            message, StringComparison.Ordinal);
        Assert.Null(model.Adapter);
        Assert.True(model.HeadWeight.requires_grad);
        Assert.Contains("TargetModules is empty", new LoraOptions { TargetModules = [] }.Validate()[0], StringComparison.Ordinal);
        Assert.Empty(new LoraOptions().Validate());
    }

    [Fact]
    public void The_defaults_are_those_of_TRL()
    {
        var options = new LoraOptions();
        Assert.Equal((16, 32.0, 2.0, 0.0), (options.Rank, options.Alpha, options.Scale, options.Dropout));
        Assert.Equal(7, options.TargetModules.Count);
    }

    private static CausalLM Narrow()
    {
        using TemporaryFolder folder = new();
        using CausalLM wide = TinyModels.Create();
        QwenWeights.Save(wide, folder.Path, ScalarType.BFloat16);
        return QwenWeights.Load(folder.Path, type: ScalarType.BFloat16);
    }

    private static Parameter Weight(CausalLM model, string name) =>
        model.named_parameters().Single(named => named.name == name).parameter;
}
