using System.Globalization;
using Grpo.Tensors;
using Grpo.Testing;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grpo.Core.Tests.Optimization;

/// <summary>Steps that leave the weights unchanged: steps that teach nothing, canceled steps and failed steps.</summary>
public sealed class GrpoOptimizerFailureTests
{
    [Fact]
    public async Task StepAsync_touches_neither_weights_nor_moments_when_all_advantages_are_zero()
    {
        bool equal = false;
        using BigramPolicy policy = Toy.Policy();
        // 0.1 three times: a naive mean would leave residues.
        var reward = new Toy.TestReward((_, completion) => equal ? 0.1 : completion.Text.Length);
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, reward, Toy.Options with { WeightDecay = 0.1 });
        await optimizer.StepAsync(Toy.Prompts); // the moments now hold momentum that a dead step must not spend
        float[] weights = policy.Weights(), first = Toy.SavedMoment(optimizer), second = Toy.SavedMoment(optimizer, "exp_avg_sq.table");
        Assert.Contains(first, value => value != 0);

        equal = true;
        StepReport report = await optimizer.StepAsync(Toy.Prompts);
        Assert.Empty(report.Updates);
        Assert.Equal(1.0, report.ZeroStdDevFraction);
        Assert.Equal((2, 2), (report.Step, optimizer.Step));
        Assert.Equal(weights, policy.Weights());
        Assert.Equal(first, Toy.SavedMoment(optimizer));
        Assert.Equal(second, Toy.SavedMoment(optimizer, "exp_avg_sq.table"));
        Assert.Null(policy.Table.grad);
    }

    [Fact]
    public void Update_touches_nothing_when_every_completion_is_empty()
    {
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy();
        using var optimizer = new GrpoOptimizer(
            policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options with { KlCoefficient = 0.1 }, reference);
        float[] weights = policy.Weights();
        Assert.Empty(optimizer.Update([Toy.Scored(Toy.Group(Toy.Prompts[0], "", ""), 1, -1)]));
        Assert.Equal(weights, policy.Weights());
    }

    [Theory]
    [InlineData("rollout")]
    [InlineData("scoring")]
    [InlineData("reference")]
    [InlineData("update")]
    public async Task StepAsync_leaves_everything_as_it_was_when_canceled_during(string stage)
    {
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 12);
        using var source = new CancellationTokenSource();
        bool armed = false;
        void CancelIf(string where)
        {
            if (armed && where == stage)
            {
                source.Cancel();
            }
        }

        int forwards = 0;
        policy.OnAdvance = () => CancelIf("rollout");
        reference.OnLogProbs = () => CancelIf("reference");
        policy.OnLogProbs = () => CancelIf(++forwards % 5 == 2 ? "update" : "elsewhere"); // the second of five micro-batches
        var reward = new Toy.TestReward((_, completion) =>
        {
            CancelIf("scoring");
            return completion.Text.Length;
        });
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, reward, Toy.Options with { KlCoefficient = 0.04 }, reference);
        await optimizer.StepAsync(Toy.Prompts);
        float[] weights = policy.Weights(), moment = Toy.SavedMoment(optimizer);

        armed = true;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => optimizer.StepAsync(Toy.Prompts, source.Token));
        Assert.Equal(weights, policy.Weights());
        Assert.Equal(moment, Toy.SavedMoment(optimizer));
        Assert.Null(policy.Table.grad);
        Assert.Equal(1, optimizer.Step);

        armed = false;
        Assert.Equal(2, (await optimizer.StepAsync(Toy.Prompts)).Step); // and the next step works
    }

    [Fact]
    public async Task StepAsync_finishes_a_round_whose_first_update_is_applied()
    {
        using BigramPolicy policy = Toy.Policy();
        using var source = new CancellationTokenSource();
        int forwards = 0;
        policy.OnLogProbs = () =>
        {
            if (++forwards == 3)
            {
                source.Cancel(); // in the third of four updates
            }
        };
        using var optimizer = new GrpoOptimizer(
            policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options with { UpdatesPerRollout = 4, MicroBatchSize = 100 });
        StepReport report = await optimizer.StepAsync(Toy.Prompts, source.Token);
        Assert.Equal(4, report.Updates.Count);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => optimizer.StepAsync(Toy.Prompts, source.Token));
        Assert.Equal(1, optimizer.Step);
    }

    [Fact]
    public async Task StepAsync_does_nothing_when_canceled_before()
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => optimizer.StepAsync(Toy.Prompts, new CancellationToken(canceled: true)));
        Assert.Equal(0, policy.LogProbsCalls);
    }

    [Fact]
    public void Update_refuses_a_loss_that_is_not_finite_and_leaves_the_weights()
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        float[] weights = policy.Weights();
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo("de-DE");
            var exception = Assert.Throws<TrainingDivergedException>(
                () => optimizer.Update([Toy.Scored(Toy.Group(Toy.Prompts[0], "ab", "cd"), double.PositiveInfinity, -1)]));
            Assert.Contains(
                "the update was not applied. Lower LearningRate (0.05) or MaxGradientNorm.", exception.Message, StringComparison.Ordinal);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }

        Assert.Equal(weights, policy.Weights());
        Assert.Null(policy.Table.grad);
        Assert.Equal(0, optimizer.Step);
        Assert.All(Toy.SavedMoment(optimizer), value => Assert.Equal(0f, value));
    }

    [Fact]
    public async Task StepAsync_refuses_logits_that_are_not_finite()
    {
        using BigramPolicy policy = Toy.Policy();
        using (TensorScope.BeginNoGrad())
        {
            policy.Table.fill_(float.NaN);
        }

        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        await Assert.ThrowsAsync<TrainingDivergedException>(() => optimizer.StepAsync(Toy.Prompts));
    }

    [Fact]
    public void Constructor_refuses_a_kl_term_without_reference_model()
    {
        using BigramPolicy policy = Toy.Policy();
        var exception = Assert.Throws<InvalidOperationException>(
            () => new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options with { KlCoefficient = 0.04 }));
        Assert.Equal("KlCoefficient is 0.04 but no reference model was given. Pass one, or set KlCoefficient to 0.", exception.Message);
    }

    [Fact]
    public void Constructor_lists_every_option_out_of_range()
    {
        using BigramPolicy policy = Toy.Policy();
        var exception = Assert.Throws<ArgumentException>(() => new GrpoOptimizer(
            new GrpoPlugIns(policy, Toy.Sampler, new Toy.LetterReward()), Toy.Options with { GroupSize = 1, MicroBatchSize = 0 },
            NullLogger<GrpoOptimizer>.Instance));
        Assert.Contains("GroupSize is 1 but must be 2 to 1024", exception.Message, StringComparison.Ordinal);
        Assert.Contains("MicroBatchSize is 0 but must be 1 to 4096.", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task RolloutAsync_refuses_no_prompts_and_a_sampler_that_drops_some()
    {
        using BigramPolicy policy = Toy.Policy();
        var sampler = new FixedSampler(Toy.Group(Toy.Prompts[0], "a", "b"));
        using var optimizer = new GrpoOptimizer(policy, sampler, new Toy.LetterReward(), Toy.Options);
        Assert.StartsWith(
            "A step needs at least one prompt.",
            (await Assert.ThrowsAsync<ArgumentException>(() => optimizer.RolloutAsync([]))).Message, StringComparison.Ordinal);
        Assert.Equal(
            "FixedSampler returned 1 groups for 4 prompts; it must return one per prompt.",
            (await Assert.ThrowsAsync<InvalidOperationException>(() => optimizer.RolloutAsync(Toy.Prompts))).Message);
        RolloutRequest request = sampler.Requests[^1];
        Assert.Equal((6, 42UL, 0L), (request.GroupSize, request.Seed, request.Step));
    }
}
