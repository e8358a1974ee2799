using Grpo.Losses;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

/// <summary>
/// Updates whose loss goes back through the output layer as soon as log-probs are known, a part of the rows after another.
/// </summary>
public sealed class FusedUpdateTests
{
    // 300 rows of 152 thousand logits are more than are held at a time: they go in two parts, and a completion in both.
    private static readonly int[] Lengths = [100, 200];

    [Fact]
    public void An_objective_that_is_not_per_token_but_says_so_fails_and_leaves_no_gradient()
    {
        using var policy = new QwenPolicy(CausalLM.Initialize(TinyModels.Config() with { VocabularySize = 151_936 }, seed: 3));
        using var scope = TensorScope.Begin();
        Tensor[] before = [.. policy.Module.parameters().Select(parameter => parameter.detach().clone())];
        InvalidOperationException failure = Assert.Throws<InvalidOperationException>(
            () => Update(policy, new SequenceProbability(Claims: true)));
        Assert.Contains("PolicyObjective.IsPerToken", failure.Message, StringComparison.Ordinal);
        Assert.All(policy.Module.parameters(), parameter => Assert.Null(parameter.grad));
        Assert.All(policy.Module.parameters().Zip(before), pair => TensorAssert.Identical(pair.Second, pair.First, "weight"));
        Assert.Single(Update(policy, new SequenceProbability(Claims: false)));
    }

    private static IReadOnlyList<UpdateReport> Update(QwenPolicy policy, PolicyObjective objective)
    {
        using var optimizer = new GrpoOptimizer(
            policy, new PolicyGroupSampler(new CharTokenizer("ab"), new PlainTemplate()), new NoReward(), new GrpoOptions
            {
                Objective = objective,
                Sampling = new SamplingOptions { MaxCompletionTokens = Lengths[^1] },
            });
        Completion[] completions =
            [.. Lengths.Select(length => new Completion([.. Enumerable.Range(0, length)], "", FinishReason.EndToken))];
        return optimizer.Update([new ScoredGroup(new RolloutGroup(Prompt.Create("p", "?"), [1, 2, 3], completions), [1, 0], [1, -1])]);
    }

    /// <summary>ℓ = −A · e^(mean log π of the completion).</summary>
    private sealed record SequenceProbability(bool Claims) : PolicyObjective
    {
        public override string Name => "mean probability";

        public override bool IsPerToken => Claims;

        public override Tensor PerToken(ObjectiveInputs inputs)
        {
            using var scope = TensorScope.Begin();
            return scope.Keep((-(inputs.Advantages.unsqueeze(1) * inputs.LogProbs.mean([1], keepdim: true).exp())).expand_as(inputs.Mask));
        }
    }

    private sealed class NoReward : CompletionReward
    {
        public override Reward Score(Prompt prompt, Completion completion) => 0;
    }
}
