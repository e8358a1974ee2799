using Grpo.Models.Qwen.Lora;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using Grpo.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

public sealed class LoraDropoutTests
{
    private static readonly LoraOptions Options = LoraModels.Options with { Dropout = 0.5 };

    [Fact]
    public void Dropout_acts_only_where_gradients_are_recorded()
    {
        using QwenPolicy policy = LoraModels.Policy(Options), plain = LoraModels.Policy();
        using var scope = TensorScope.Begin();
        Tensor training = policy.LogProbs(LoraModels.Batch, 1).detach();
        using var noGrad = TensorScope.BeginNoGrad();
        Tensor expected = plain.LogProbs(LoraModels.Batch, 1);
        TensorAssert.Identical(expected, policy.LogProbs(LoraModels.Batch, 1), "log-probs");
        Assert.True((training - expected).abs().max().item<float>() > 1e-3);
    }

    [Fact]
    public void Every_pass_has_masks_of_its_own_and_the_same_seed_the_same_sequence_of_them()
    {
        using QwenPolicy first = LoraModels.Policy(Options), second = LoraModels.Policy(Options);
        using var scope = TensorScope.Begin();
        Tensor one = first.LogProbs(LoraModels.Batch, 1).detach();
        Tensor two = first.LogProbs(LoraModels.Batch, 1).detach();
        Assert.True((one - two).abs().max().item<float>() > 1e-3);
        TensorAssert.Identical(one, second.LogProbs(LoraModels.Batch, 1).detach(), "first pass");
        TensorAssert.Identical(two, second.LogProbs(LoraModels.Batch, 1).detach(), "second pass");
    }

    [Fact]
    public void The_adapter_has_on_average_the_output_that_it_has_without_dropout()
    {
        using CausalLM model = TinyModels.Create();
        var update = new LowRankUpdate("q_proj", LinearShape.FromWeight(model.HeadWeight), Options with { Dropout = 0.25 }); // [37, 24]
        using var scope = TensorScope.BeginNoGrad();
        update.Up.Weight.fill_(1);
        update.Down.Weight.fill_(1);
        Tensor output = update.Apply(ones(1000, 24), new LoraPass(IsOff: false, DropoutKey: 9));         // [1000, 37]
        // scale 2 · rank 3 · 24 ones; one row deviates by 6 · √(24 · 0.25 / 0.75) = 17, the mean of 1,000 rows by 0.5.
        Assert.Equal(144, output.mean().item<float>(), 2.5);
        // Of 24 ones each row keeps a whole number, each counted 1 / 0.75 times.
        Tensor kept = output.select(1, 0) / 6 * 0.75;
        TensorAssert.Near(kept.round(), kept, 1e-3);
        Assert.True(kept.std().item<float>() > 1);
    }

    [CudaFact]
    public void A_gpu_drops_the_inputs_that_the_cpu_drops()
    {
        using var scope = TensorScope.BeginNoGrad();
        TensorAssert.Near(Output(CPU), Output(new Device(DeviceType.CUDA, 0)).cpu(), 1e-4);

        static Tensor Output(Device device)
        {
            using CausalLM model = CausalLM.Initialize(TinyModels.Config(), seed: 7, device);
            var update = new LowRankUpdate("q_proj", LinearShape.FromWeight(model.HeadWeight), Options);
            update.Up.Weight.fill_(1);
            return update.Apply(ones(20, 24, device: device), new LoraPass(IsOff: false, DropoutKey: 9));
        }
    }

    [Fact]
    public void A_layer_that_is_run_again_in_its_pass_drops_the_same_inputs_and_another_layer_others()
    {
        using CausalLM model = TinyModels.Create();
        LowRankUpdate query = Update("q_proj"), key = Update("k_proj");
        using var scope = TensorScope.BeginNoGrad();
        Tensor input = ones(20, 24);
        Tensor first = query.Apply(input, new LoraPass(IsOff: false, DropoutKey: 9));
        TensorAssert.Identical(first, query.Apply(input, new LoraPass(IsOff: false, DropoutKey: 9)), "the same layer");
        Assert.True((first - key.Apply(input, new LoraPass(IsOff: false, DropoutKey: 9))).abs().max().item<float>() > 1);
        Assert.True((first - query.Apply(input, new LoraPass(IsOff: false, DropoutKey: 10))).abs().max().item<float>() > 1);

        LowRankUpdate Update(string name)
        {
            var update = new LowRankUpdate(name, LinearShape.FromWeight(model.HeadWeight), Options);
            using var noGrad = TensorScope.BeginNoGrad();
            update.Up.Weight.fill_(1);
            update.Down.Weight.fill_(1);
            return update;
        }
    }

    [Fact]
    public void A_loaded_adapter_goes_on_with_the_masks_that_come_next()
    {
        using TemporaryFolder folder = new();
        using QwenPolicy policy = LoraModels.Policy(Options), resumed = LoraModels.Policy(Options);
        using var scope = TensorScope.Begin();
        Tensor first = policy.LogProbs(LoraModels.Batch, 1).detach();
        policy.Save(folder.Path);
        resumed.Load(folder.Path);
        Tensor next = resumed.LogProbs(LoraModels.Batch, 1).detach();
        TensorAssert.Identical(policy.LogProbs(LoraModels.Batch, 1).detach(), next, "log-probs");
        Assert.True((first - next).abs().max().item<float>() > 1e-3);
    }

    [Fact]
    public void GrpoOptimizer_refuses_a_policy_with_dropout()
    {
        using QwenPolicy policy = LoraModels.Policy(Options);
        var exception = Assert.Throws<InvalidOperationException>(
            () => new GrpoOptimizer(policy, new Grpo.Testing.FixedSampler(), RewardFunction.Create("one", (_, _) => 1)));
        Assert.StartsWith("QwenPolicy is random in training (dropout)", exception.Message, StringComparison.Ordinal);
    }
}
