using Grpo.Core.Tests.Golden;
using Grpo.Losses;
using Grpo.Optimization;
using Grpo.Tensors;
using Grpo.Testing;

namespace Grpo.Core.Tests.Optimization;

public sealed class GrpoOptimizerTests
{
    [Fact]
    public async Task StepAsync_makes_the_rewarded_token_more_probable()
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options with { LearningRate = 0.2 });
        int b = Toy.Tokenizer.Id('b'), a = Toy.Tokenizer.Id('a');
        double before = policy.Probability(b, a);
        double first = 0, last = 0;
        for (int step = 0; step < 30; step++)
        {
            StepReport report = await optimizer.StepAsync(Toy.Prompts);
            Assert.Equal(step + 1, report.Step);
            (first, last) = (step == 0 ? report.MeanReward : first, report.MeanReward);
        }

        Assert.Equal(30, optimizer.Step);
        Assert.InRange(before, 0.03, 0.3);
        Assert.InRange(policy.Probability(b, a), 0.7, 1);
        Assert.InRange(first, 0, 0.4);
        Assert.InRange(last, 0.75, 1);
    }

    [Theory]
    [InlineData(LossReduction.TokenMean, 2 / 8.0)]              // −(A·1 − A·3) / 8 tokens
    [InlineData(LossReduction.SequenceMean, 0)]                 // −(A − A) / 4 sequences
    [InlineData(LossReduction.FixedLength, 2 / (4.0 * 6))]      // the same sum over 4 sequences of at most 6 tokens
    public void Update_divides_by_the_whole_step_also_by_what_teaches_nothing(LossReduction reduction, double factor)
    {
        using BigramPolicy policy = Toy.Policy();
        using GrpoOptimizer optimizer = Optimizer(policy, Toy.Options with { Reduction = reduction });
        double advantage = 0.5 / (Math.Sqrt(0.5) + 1e-4); // rewards 1 and 0
        IReadOnlyList<UpdateReport> updates = optimizer.Update(
        [
            Toy.Scored(Toy.Group(Toy.Prompts[0], "a", "bcd"), advantage, -advantage),
            Toy.Scored(Toy.Group(Toy.Prompts[1], "ab", "cd"), 0, 0),
        ]);
        Assert.Equal(factor * advantage, Assert.Single(updates).Loss, 1e-6);
    }

    [Theory]
    [InlineData(1.0)]
    [InlineData(0.5)]
    public void Update_has_the_gradient_of_the_policy_gradient_theorem(double temperature)
    {
        // One token, on-policy: ∂L/∂z_v = −A·(1{v = o} − p_v) / (B·τ), p at temperature τ; rows that were not visited have none.
        using BigramPolicy policy = Toy.Policy();
        GrpoOptions options = Gradients(Toy.Options);
        using GrpoOptimizer optimizer = Optimizer(policy, options with { Sampling = options.Sampling with { Temperature = temperature } });
        int b = Toy.Tokenizer.Id('b'), a = Toy.Tokenizer.Id('a');
        double[] probabilities = Probabilities(policy, b, temperature);
        UpdateReport update = Assert.Single(optimizer.Update([Toy.Scored(Toy.Group(Toy.Prompts[0], "a", "a"), 2, 0)]));

        float[] expected = new float[Toy.Vocabulary * Toy.Vocabulary];
        for (int next = 0; next < Toy.Vocabulary; next++)
        {
            expected[(b * Toy.Vocabulary) + next] = (float)(-2 * ((next == a ? 1 : 0) - probabilities[next]) / (2 * temperature));
        }

        Near.Equal(expected, Toy.SavedMoment(optimizer), 1e-6, "gradient");
        Assert.Equal(Math.Sqrt(expected.Sum(value => (double)value * value)), update.GradientNorm, 1e-5);
        Assert.Equal(-1, update.Loss, 1e-6);
        Assert.Null(update.Kl);
    }

    [Fact]
    public void Update_scales_a_long_gradient_down_and_leaves_a_short_one()
    {
        float[] whole = GradientAfter(Toy.Options with { MaxGradientNorm = null });
        float[] clipped = GradientAfter(Toy.Options with { MaxGradientNorm = 0.1 });
        float[] loose = GradientAfter(Toy.Options with { MaxGradientNorm = 100 });
        double norm = Math.Sqrt(whole.Sum(value => (double)value * value));
        Near.EqualRelative([.. whole.Select(value => (float)(value * 0.1 / (norm + 1e-6)))], clipped, 1e-5, "clipped");
        Assert.Equal(whole, loose);
    }

    [Fact]
    public void Update_keeps_the_old_log_probs_of_the_first_update_for_the_whole_round()
    {
        using BigramPolicy policy = Toy.Policy();
        using GrpoOptimizer optimizer = Optimizer(
            policy, Toy.Options with { UpdatesPerRollout = 4, LearningRate = 0.3, MaxGradientNorm = null });
        IReadOnlyList<UpdateReport> updates = optimizer.Update([Toy.Scored(Toy.Group(Toy.Prompts[0], "aaa.", "bcd."), 1, -1)]);
        Assert.Equal(4, updates.Count);
        Assert.Equal((0.0, 0.0), (updates[0].Clip!.Value.LowMean, updates[0].Clip!.Value.HighMean)); // w = 1
        Assert.True(updates[1].Loss < updates[0].Loss);
        Assert.True(updates[^1].Clip!.Value.LowMean > 0 && updates[^1].Clip!.Value.HighMean > 0); // far from the policy that sampled
        Assert.Equal(1, optimizer.Step);
    }

    [Theory]
    [InlineData(1.0)]
    [InlineData(0.5)]
    public void Update_measures_the_distance_from_the_reference_also_where_the_advantage_is_zero(double temperature)
    {
        using BigramPolicy policy = Toy.Policy(), untouched = Toy.Policy(), reference = Toy.Policy(seed: 12);
        GrpoOptions options = Toy.Options with { KlCoefficient = 0.1 };
        options = options with { Sampling = options.Sampling with { Temperature = temperature } };
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), options, reference);
        UpdateReport update = Assert.Single(optimizer.Update([Toy.Scored(Toy.Group(Toy.Prompts[0], "ab.", "c"), 0, 0)]));

        // p0 is "b": the tokens are a after b, b after a, end after b, c after b.
        int a = Toy.Tokenizer.Id('a'), b = Toy.Tokenizer.Id('b'), c = Toy.Tokenizer.Id('c');
        (int Last, int Next)[] steps = [(b, a), (a, b), (b, CharTokenizer.End), (b, c)];
        double expected = steps.Average(step =>
        {
            double difference = Math.Log(Probabilities(reference, step.Last, temperature)[step.Next])
                - Math.Log(Probabilities(untouched, step.Last, temperature)[step.Next]);
            return Math.Exp(difference) - difference - 1;
        });
        Assert.Equal(expected, update.Kl!.Value, 1e-5);
        Assert.Equal(0.1 * expected, update.Loss, 1e-6);
        Assert.NotEqual(untouched.Weights(), policy.Weights());
    }

    [Fact]
    public void Update_has_no_kl_when_policy_and_reference_are_equal()
    {
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy();
        using var optimizer = new GrpoOptimizer(
            policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options with { KlCoefficient = 0.1, UpdatesPerRollout = 3 }, reference);
        IReadOnlyList<UpdateReport> updates = optimizer.Update([Toy.Scored(Toy.Group(Toy.Prompts[0], "ab.", "c"), 1, -1)]);
        Assert.Equal(0, updates[0].Kl!.Value, 1e-7);
        Assert.True(updates[2].Kl > 1e-4);
    }

    [Fact]
    public void Update_ignores_gradients_that_somebody_else_left_behind()
    {
        float[] clean = GradientAfter(Toy.Options);
        float[] soiled = GradientAfter(Toy.Options, policy =>
        {
            using var scope = TensorScope.Begin();
            (policy.Table * 100).sum().backward();
        });
        Assert.Equal(clean, soiled);
    }

    [Fact]
    public void Update_follows_the_learning_rate_schedule()
    {
        using BigramPolicy policy = Toy.Policy();
        using GrpoOptimizer optimizer = Optimizer(
            policy, Toy.Options with { WarmupSteps = 2, Schedule = LearningRateSchedule.Linear, ScheduleSteps = 4, UpdatesPerRollout = 2 });
        ScoredGroup[] groups = [Toy.Scored(Toy.Group(Toy.Prompts[0], "a", "b"), 1, -1)];
        double[] rates = [.. Enumerable.Range(0, 3).SelectMany(_ => optimizer.Update(groups)).Select(update => update.LearningRate)];
        Assert.Equal([0, 0.025, 0.05, 0.025, 0, 0], rates.Select(rate => Math.Round(rate, 12)));
    }

    [Fact]
    public async Task StepAsync_asks_for_the_samples_of_its_own_step()
    {
        using BigramPolicy policy = Toy.Policy();
        var sampler = new FixedSampler(request => [.. request.Prompts.Select(prompt => Toy.Group(prompt, "a", "b", "c", "d", "e", "f"))]);
        using var optimizer = new GrpoOptimizer(policy, sampler, new Toy.LetterReward(), Toy.Options with { Seed = 5 });
        await optimizer.StepAsync(Toy.Prompts);
        await optimizer.StepAsync(Toy.Prompts);
        Assert.Equal([(0L, 5UL, 6), (1L, 5UL, 6)], sampler.Requests.Select(request => (request.Step, request.Seed, request.GroupSize)));
        Assert.Equal(Toy.Options.Sampling, sampler.Requests[0].Sampling);
    }

    [Fact]
    public void Options_are_a_copy_of_those_given()
    {
        GrpoOptions options = Toy.Options;
        using BigramPolicy policy = Toy.Policy();
        using GrpoOptimizer optimizer = Optimizer(policy, options);
        options.GroupSize = 99;
        options.Sampling.Temperature = 9;
        Assert.Equal((6, 1.0), (optimizer.Options.GroupSize, optimizer.Options.Sampling.Temperature));
    }

    /// <summary>Makes the first moment the gradient itself, and leaves the weights alone.</summary>
    internal static GrpoOptions Gradients(GrpoOptions options) => options with { AdamBeta1 = 0, LearningRate = 0, MaxGradientNorm = null };

    private static double[] Probabilities(BigramPolicy policy, int last, double temperature)
    {
        double[] weights =
            [.. Enumerable.Range(0, Toy.Vocabulary).Select(next => Math.Pow(policy.Probability(last, next), 1 / temperature))];
        return [.. weights.Select(weight => weight / weights.Sum())];
    }

    private static float[] GradientAfter(GrpoOptions options, Action<BigramPolicy>? before = null)
    {
        using BigramPolicy policy = Toy.Policy();
        using GrpoOptimizer optimizer = Optimizer(policy, options with { AdamBeta1 = 0, LearningRate = 0 });
        before?.Invoke(policy);
        optimizer.Update([Toy.Scored(Toy.Group(Toy.Prompts[0], "abc.", "hg"), 1, -1)]);
        return Toy.SavedMoment(optimizer);
    }

    private static GrpoOptimizer Optimizer(BigramPolicy policy, GrpoOptions options) =>
        new(policy, Toy.Sampler, new Toy.LetterReward(), options);
}
