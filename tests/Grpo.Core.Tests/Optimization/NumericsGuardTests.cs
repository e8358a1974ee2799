using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Optimization;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Optimization;

/// <summary>The guards that are always on: a sampler that is not the policy, and log-probs that are not finite.</summary>
public sealed class NumericsGuardTests : IDisposable
{
    private readonly BigramPolicy _policy = Toy.Policy();

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    [InlineData(100)]
    public async Task StepAsync_reports_next_to_no_difference_for_the_policys_own_samples(int microBatchSize)
    {
        GrpoOptions options = Toy.Options with { UpdatesPerRollout = 3, MicroBatchSize = microBatchSize };
        using var optimizer = new GrpoOptimizer(_policy, Toy.Sampler, new Toy.LetterReward(), options);
        for (int step = 0; step < 3; step++)
        {
            StepReport report = await optimizer.StepAsync(Toy.Prompts);
            LogProbDifference difference = report.Updates[0].SamplerDifference!.Value;
            Assert.InRange(difference.Mean, 0, 1e-6); // float32: a unit in the last place of 2 nats is 2.4e-7
            Assert.InRange(difference.Max, difference.Mean, 1e-5);
            Assert.All(report.Updates.Skip(1), update => Assert.Null(update.SamplerDifference)); // the policy has moved on
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(100)]
    public void Update_measures_the_difference_over_the_recorded_tokens_of_all_micro_batches(int microBatchSize)
    {
        // Off by 0.25 on one of three tokens and by 0.05 on one of two; the third completion was not recorded, the fourth
        // is not trained on.
        RolloutGroup group = Toy.Group(Toy.Prompts[0], "abc", "d.", "efg", "h");
        group = group with
        {
            Completions =
            [
                Recorded(group, 0, [0, -0.25f, 0]), Recorded(group, 1, [0, 0.05f]), group.Completions[2], Recorded(group, 3, [100]),
            ],
        };
        using var optimizer = Optimizer(Toy.Options with { MicroBatchSize = microBatchSize });
        LogProbDifference difference = Assert.Single(optimizer.Update([Toy.Scored(group, 1, -1, 1, 0)])).SamplerDifference!.Value;
        Assert.Equal((0.25 + 0.05) / 5, difference.Mean, 1e-6);
        Assert.Equal(0.25, difference.Max, 1e-6);
    }

    [Fact]
    public void Update_has_no_difference_when_the_sampler_recorded_nothing()
    {
        using var optimizer = Optimizer(Toy.Options);
        Assert.Null(Assert.Single(optimizer.Update([Toy.Scored(Toy.Group(Toy.Prompts[0], "ab", "cd"), 1, -1)])).SamplerDifference);
    }

    [Fact]
    public async Task StepAsync_refuses_a_sampler_at_another_temperature_and_leaves_the_weights()
    {
        float[] weights = _policy.Weights();
        using var optimizer = new GrpoOptimizer(_policy, new WrongTemperature(), new Toy.LetterReward(), Toy.Options);
        var exception = await Assert.ThrowsAsync<InvalidOperationException>(() => optimizer.StepAsync(Toy.Prompts));
        Assert.StartsWith("The sampler's log-probs differ from the policy's by ", exception.Message, StringComparison.Ordinal);
        Assert.Contains(
            "); the update was not applied. The completions are not samples of this policy at temperature 1. Usual causes: "
            + "a sampler at another temperature",
            exception.Message, StringComparison.Ordinal);
        Assert.Equal(weights, _policy.Weights());
        Assert.Null(_policy.Table.grad);
        Assert.Equal(0, optimizer.Step);
    }

    [Theory]
    [InlineData(0.49f, true)]
    [InlineData(0.51f, false)]
    public void Update_allows_a_mean_difference_of_half_a_nat(float offset, bool allowed)
    {
        RolloutGroup group = Toy.Group(Toy.Prompts[0], "ab", "cd");
        group = group with { Completions = [Recorded(group, 0, [offset, offset]), Recorded(group, 1, [-offset, -offset])] };
        using var optimizer = Optimizer(Toy.Options);
        if (allowed)
        {
            Assert.Equal(offset, Assert.Single(optimizer.Update([Toy.Scored(group, 1, -1)])).SamplerDifference!.Value.Mean, 1e-6);
            return;
        }

        var exception = Assert.Throws<InvalidOperationException>(() => optimizer.Update([Toy.Scored(group, 1, -1)]));
        Assert.StartsWith(
            "The sampler's log-probs differ from the policy's by 0.510 nats per token (at most 0.5 is allowed; the largest is 0.510); "
            + "the update was not applied.",
            exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Update_refuses_recorded_log_probs_that_cannot_belong_to_the_tokens()
    {
        RolloutGroup group = Toy.Group(Toy.Prompts[0], "ab", "cd");
        Completion whole = group.Completions[0];
        using var optimizer = Optimizer(Toy.Options);
        Assert.Equal(
            "The sampler recorded 3 log-probs for the 2 tokens of prompt 'p0', sample 1; there must be one per token, or null for none. "
            + "Were the token ids made from the text again? Training needs the sampled ids.",
            Refusal([-1, -1, -1]));
        Assert.Equal(
            "The sampler recorded NaN as log-prob of token 1 of prompt 'p0', sample 1; a sampled token has a finite one.",
            Refusal([-1, float.NaN]));

        string Refusal(float[] recorded) => Assert.Throws<InvalidOperationException>(() => optimizer.Update(
            [Toy.Scored(group with { Completions = [whole, group.Completions[1] with { LogProbs = recorded }] }, 1, -1)])).Message;
    }

    [Fact]
    public void Update_names_the_completion_whose_log_probs_are_not_finite_before_any_backward_pass()
    {
        Spoil(_policy, 'e'); // what follows an e
        float[] weights = _policy.Weights();
        var objective = new WatchedObjective();
        using var optimizer = Optimizer(Toy.Options with { MicroBatchSize = 100, Objective = objective });
        var exception = Assert.Throws<TrainingDivergedException>(() => optimizer.Update(
            [Toy.Scored(Toy.Group(Toy.Prompts[0], "ab", "cd"), 1, -1), Toy.Scored(Toy.Group(Toy.Prompts[2], "abcd", "egh"), 1, -1)]));
        Assert.Equal(
            "The log-probs of prompt 'p2', sample 1 are NaN or ∞ on 1 of 3 tokens; the update was not applied. "
            + "The policy has diverged: go back to the last checkpoint and lower LearningRate (0.05) or MaxGradientNorm.",
            exception.Message);
        Assert.Empty(objective.BackwardPasses);
        Assert.Equal(weights, _policy.Weights());
        Assert.Null(_policy.Table.grad);
        Assert.Equal(0, optimizer.Step);
        Assert.All(Toy.SavedMoment(optimizer), value => Assert.Equal(0f, value));
    }

    [Fact]
    public void Update_runs_one_backward_pass_per_micro_batch_when_all_is_well()
    {
        var objective = new WatchedObjective();
        using var optimizer = Optimizer(Toy.Options with { MicroBatchSize = 1, Objective = objective });
        optimizer.Update([Toy.Scored(Toy.Group(Toy.Prompts[0], "ab", "cd"), 1, -1)]);
        Assert.Equal(2, objective.BackwardPasses.Count);
    }

    [Fact]
    public void Update_names_the_completion_whose_reference_log_probs_are_not_finite()
    {
        using BigramPolicy reference = Toy.Policy();
        Spoil(reference, 'c');
        using var optimizer = new GrpoOptimizer(
            _policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options with { KlCoefficient = 0.1 }, reference);
        var exception = Assert.Throws<TrainingDivergedException>(
            () => optimizer.Update([Toy.Scored(Toy.Group(Toy.Prompts[0], "ab", "cc."), 1, -1)]));
        Assert.StartsWith(
            "The reference log-probs of prompt 'p0', sample 1 are NaN or ∞ on 2 of 3 tokens; ", exception.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Guards_cost_no_forward_pass()
    {
        RolloutGroup group = Toy.Group(Toy.Prompts[0], "ab", "cd");
        group = group with { Completions = [Recorded(group, 0, [0, 0]), Recorded(group, 1, [0, 0])] };
        using var optimizer = Optimizer(Toy.Options with { UpdatesPerRollout = 2, MicroBatchSize = 1 });
        int before = _policy.LogProbsCalls;
        optimizer.Update([Toy.Scored(group, 1, -1)]);
        Assert.Equal(4, _policy.LogProbsCalls - before); // two updates of two micro-batches
    }

    public void Dispose() => _policy.Dispose();

    private GrpoOptimizer Optimizer(GrpoOptions options) => new(_policy, Toy.Sampler, new Toy.LetterReward(), options);

    // The policy's own log-probs, off by so much.
    private Completion Recorded(RolloutGroup group, int sample, float[] offsets)
    {
        using var scope = TensorScope.BeginNoGrad();
        Completion completion = group.Completions[sample];
        TokenBatch batch = TokenBatchBuilder.Build([new TokenSequence(group.PromptTokenIds, completion.TokenIds)], padTokenId: 0, CPU);
        float[] exact = [.. _policy.LogProbs(batch, temperature: 1).data<float>()];
        return completion with { LogProbs = [.. exact.Zip(offsets, (value, offset) => value + offset)] };
    }

    private static void Spoil(BigramPolicy policy, char last)
    {
        using var scope = TensorScope.BeginNoGrad();
        policy.Table.select(0, Toy.Tokenizer.Id(last)).fill_(float.NaN);
    }

    /// <summary>Samples nearly greedily, whatever it is asked for.</summary>
    private sealed class WrongTemperature : IGroupSampler
    {
        public ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
            IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default) =>
            Toy.Sampler.SampleAsync(policy, request with { Sampling = request.Sampling with { Temperature = 0.1 } }, cancellationToken);
    }

    /// <summary>REINFORCE that notes every backward pass through it.</summary>
    private sealed record WatchedObjective : PolicyObjective
    {
        public override string Name => "watched";

        public List<int> BackwardPasses { get; } = [];

        public override Tensor PerToken(ObjectiveInputs inputs)
        {
            using var scope = TensorScope.Begin();
            Tensor perToken = -(inputs.LogProbs * inputs.Advantages.unsqueeze(1));                 // [B, C]
            return scope.Keep(Watch.apply(perToken, BackwardPasses));
        }
    }

    /// <summary>The identity.</summary>
    private sealed class Watch : autograd.SingleTensorFunction<Watch>
    {
        public override string Name => nameof(Watch);

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            ctx.save_data(nameof(Watch), vars[1]);
            return ((Tensor)vars[0]).clone();
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            ((List<int>)ctx.get_data(nameof(Watch))).Add(1);
            return [grad_output, null!];
        }
    }
}
