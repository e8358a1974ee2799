using Grpo.Losses;
using Grpo.Testing;

namespace Grpo.Core.Tests.Optimization;

/// <summary>That what the options name is what the step computes.</summary>
public sealed class GrpoOptimizerVariantTests
{
    public static TheoryData<string> Presets => [.. GrpoPresets.Names];

    [Theory]
    [MemberData(nameof(Presets))]
    public async Task StepAsync_learns_with_every_preset(string preset)
    {
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 12);
        GrpoOptions options = GrpoPresets.Get(preset) with
        {
            GroupSize = 8,
            PromptsPerStep = 4,
            LearningRate = 0.1,
            WarmupSteps = 0,
            Sampling = Toy.Options.Sampling,
        };
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), options, reference);
        double before = policy.Probability(Toy.Tokenizer.Id('b'), Toy.Tokenizer.Id('a'));
        for (int step = 0; step < 20; step++)
        {
            StepReport report = await optimizer.StepAsync(Toy.Prompts);
            Assert.All(report.Updates, update => Assert.True(double.IsFinite(update.Loss)));
        }

        // 'a' is what the reward pays for, after every letter: a bare 0.1 would be chance.
        Assert.InRange(policy.Probability(Toy.Tokenizer.Id('b'), Toy.Tokenizer.Id('a')), before + 0.1, 1);
    }

    [Fact]
    public void Update_leaves_truncated_completions_out_when_they_are_masked()
    {
        // "ab." ended, "cd" was cut. Masked, the step is that of the first alone: N = 3 tokens, B = 1.
        GrpoOptions options = Toy.Options with { AdamBeta1 = 0, LearningRate = 0, MaskTruncatedCompletions = true };
        (double masked, float[] maskedGradient) = Update(options, Toy.Scored(Toy.Group(Toy.Prompts[0], "ab.", "cd"), 1, -1));
        (double alone, float[] aloneGradient) = Update(options with { MaskTruncatedCompletions = false }, Toy.Scored(Toy.Group(Toy.Prompts[0], "ab."), 1));
        (double both, _) = Update(options with { MaskTruncatedCompletions = false }, Toy.Scored(Toy.Group(Toy.Prompts[0], "ab.", "cd"), 1, -1));

        Assert.Equal(-1, alone, 1e-6);                 // on-policy w = 1: −A
        Assert.Equal(alone, masked, 1e-6);
        Assert.Equal(aloneGradient, maskedGradient);
        Assert.Equal(-(3 - 2) / 5.0, both, 1e-6);      // five tokens, three of them with A = 1, two with A = −1
    }

    [Fact]
    public async Task ScoreAsync_gives_per_reward_advantages_the_weights_of_the_sum()
    {
        // Part one 1, 0 and part two 0, 10: z = ±1/√2 each (ε aside), S = 2·z₁ + 1·z₂ = ±1/√2, whitened over the batch of four.
        using BigramPolicy policy = Toy.Policy();
        var first = RewardFunction.Create("first", (_, completion) => completion.Text == "a" ? 1 : 0);
        var second = RewardFunction.Create("second", (_, completion) => completion.Text == "a" ? 0 : 10);
        GrpoOptions options = Toy.Options with { Advantage = new PerRewardNormalizedAdvantage() };
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, RewardFunction.WeightedSum((first, 2), (second, 1)), options);

        IReadOnlyList<ScoredGroup> scored = await optimizer.ScoreAsync(
            [Toy.Group(Toy.Prompts[0], "a.", "b."), Toy.Group(Toy.Prompts[1], "b.", "a.")]);

        // S = (s, −s, −s, s) with s = 1/√2: mean 0, std (n − 1) = s·√(4/3), so A = ±√(3/4).
        double expected = Math.Sqrt(0.75);
        Assert.Equal([expected, -expected], scored[0].Advantages, (a, b) => Math.Abs(a - b) < 1e-3);
        Assert.Equal([-expected, expected], scored[1].Advantages, (a, b) => Math.Abs(a - b) < 1e-3);
    }

    [Fact]
    public void Update_uses_the_kl_estimator_of_the_options()
    {
        // A = 0, so that the gradient is that of the KL term alone; k2's and k3's differ.
        ScoredGroup group = Toy.Scored(Toy.Group(Toy.Prompts[0], "ab.", "cd."), 0, 0);
        GrpoOptions options = Toy.Options with { AdamBeta1 = 0, LearningRate = 0, KlCoefficient = 0.5 };
        (_, float[] k3) = Update(options, group);
        (_, float[] k2) = Update(options with { KlEstimator = KlEstimator.K2 }, group);
        (_, float[] straightThrough) = Update(options with { KlEstimator = KlEstimator.StraightThrough }, group);

        Assert.NotEqual(k3, k2);
        Assert.All(k2.Zip(straightThrough), pair => Assert.Equal(pair.First, pair.Second, 1e-6)); // the gradient of k2 by definition
        Assert.Contains(k3, value => value != 0);
    }

    private static (double Loss, float[] Gradient) Update(GrpoOptions options, ScoredGroup group)
    {
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 12);
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), options with { MaxGradientNorm = null }, reference);
        return (Assert.Single(optimizer.Update([group])).Loss, Toy.SavedMoment(optimizer));
    }
}
