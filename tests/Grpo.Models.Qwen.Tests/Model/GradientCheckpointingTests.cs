using Grpo.Modeling;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

[Collection(LiveTensors.Name)]
public sealed class GradientCheckpointingTests
{
    private static readonly TokenSequence[] Sequences = [new([1, 2, 3], [4, 5]), new([6], [7, 8, 9]), new([1, 2, 3], [10])];

    [Theory]
    [InlineData("qwen2", true, false)]
    [InlineData("qwen2", false, false)]
    [InlineData("qwen2", true, true)]
    [InlineData("qwen3", false, true)]
    [InlineData("llama", true, false)]
    [InlineData("llama with biases", true, true)]
    public void Loss_and_gradients_are_those_of_the_plain_pass_bit_for_bit(string family, bool tied, bool share)
    {
        using var policy = new QwenPolicy(TinyModels.Uneven(TinyModels.Config(tied, family)));
        using var scope = TensorScope.Begin();
        (Tensor loss, Dictionary<string, Tensor> gradients) = Run(policy, share);
        policy.Model.GradientCheckpointing = true;
        (Tensor sameLoss, Dictionary<string, Tensor> sameGradients) = Run(policy, share);
        TensorAssert.Identical(loss, sameLoss, "loss");
        Assert.Equal(gradients.Keys, sameGradients.Keys);
        Assert.All(gradients, entry => TensorAssert.Identical(entry.Value, sameGradients[entry.Key], entry.Key));
    }

    [Fact]
    public void Layers_are_trained_though_the_embedding_is_frozen()
    {
        using var policy = new QwenPolicy(TinyModels.Create(tied: false));
        using var scope = TensorScope.Begin();
        (_, Dictionary<string, Tensor> all) = Run(policy, share: true);
        policy.Model.named_parameters().Single(entry => entry.name == "model.embed_tokens.weight").parameter.requires_grad_(false);
        policy.Model.GradientCheckpointing = true;
        (_, Dictionary<string, Tensor> gradients) = Run(policy, share: true);
        Assert.Equal(all.Keys.Where(name => name != "model.embed_tokens.weight"), gradients.Keys);
        Assert.All(gradients, entry => TensorAssert.Identical(all[entry.Key], entry.Value, entry.Key));
    }

    [Fact]
    public void Nothing_stays_alive_whether_the_backward_pass_runs_or_not()
    {
        using var policy = new QwenPolicy(TinyModels.Create());
        policy.Model.GradientCheckpointing = true;
        Assert.Equal(0, LiveTensors.GrowthOf(() =>
        {
            using var scope = TensorScope.Begin();
            policy.LogProbs(TokenBatchBuilder.Build(Sequences, padTokenId: 0, CPU, sharePrompts: true), 1).sum().backward();
        }));
        Assert.Equal(0, LiveTensors.GrowthOf(() =>
        {
            using var scope = TensorScope.Begin();
            _ = policy.LogProbs(TokenBatchBuilder.Build(Sequences, padTokenId: 0, CPU), 1);
        }));
    }

    [Fact]
    public void A_copy_checkpoints_as_its_original_does()
    {
        using CausalLM model = TinyModels.Create();
        Assert.False(model.GradientCheckpointing);
        model.GradientCheckpointing = true;
        using CausalLM copy = model.Clone();
        Assert.True(copy.GradientCheckpointing);
    }

    private static (Tensor Loss, Dictionary<string, Tensor> Gradients) Run(QwenPolicy policy, bool share)
    {
        foreach (Parameter parameter in policy.Module.parameters())
        {
            parameter.grad = null; // an existing gradient is added to in another order
        }

        TokenBatch batch = TokenBatchBuilder.Build(Sequences, padTokenId: 0, CPU, share);
        Tensor logProbs = policy.LogProbs(batch, 0.8);
        Tensor loss = (logProbs * logProbs.detach()).sum();
        loss.backward();
        return (loss.detach().reshape(1), policy.Module.named_parameters()
            .Where(entry => entry.parameter.grad is not null)
            .ToDictionary(entry => entry.name, entry => entry.parameter.grad!.clone()));
    }
}
