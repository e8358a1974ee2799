using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Testing;
using static TorchSharp.torch;

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
        (double alone, float[] aloneGradient) = Update(
            options with { MaskTruncatedCompletions = false }, Toy.Scored(Toy.Group(Toy.Prompts[0], "ab."), 1));
        (double both, _) = Update(
            options with { MaskTruncatedCompletions = false }, Toy.Scored(Toy.Group(Toy.Prompts[0], "ab.", "cd"), 1, -1));

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

        ScoredStep scored = await optimizer.ScoreAsync(
            [Toy.Group(Toy.Prompts[0], "a.", "b."), Toy.Group(Toy.Prompts[1], "b.", "a.")]);

        // S = (s, −s, −s, s) with s = 1/√2: mean 0, std (n − 1) = s·√(4/3), so A = ±√(3/4).
        double expected = Math.Sqrt(0.75);
        Assert.Equal([expected, -expected], scored.Groups[0].Advantages, (a, b) => Math.Abs(a - b) < 1e-3);
        Assert.Equal([-expected, expected], scored.Groups[1].Advantages, (a, b) => Math.Abs(a - b) < 1e-3);
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

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    public void Update_adds_the_entropy_bonus_also_where_there_is_no_advantage(double temperature)
    {
        // A = 0 everywhere: the loss is −c·Σ H / N alone, with N = 4 tokens whose distributions follow b, a and b, c.
        using BigramPolicy policy = Toy.Policy();
        double expected = -0.5 * new[] { 'b', 'a', 'b', 'c' }.Average(letter => Entropy(policy, Toy.Tokenizer.Id(letter), temperature));
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options with
        {
            EntropyCoefficient = 0.5,
            LearningRate = 0.1,
            MaxGradientNorm = null,
            Sampling = Toy.Options.Sampling with { Temperature = temperature },
        });
        double before = Entropy(policy, Toy.Tokenizer.Id('b'));
        UpdateReport update = Assert.Single(optimizer.Update([Toy.Scored(Toy.Group(Toy.Prompts[0], "a.", "cd"), 0, 0)]));

        Assert.Equal(expected, update.Loss, 1e-5);
        Assert.True(Entropy(policy, Toy.Tokenizer.Id('b')) > before);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public void Update_trains_on_the_fraction_of_tokens_that_the_policy_is_least_sure_of(double temperature)
    {
        // Trained tokens follow b, a, c. The completion without advantage adds tokens after the surest letter, which pull the quantile
        // down: of the trained tokens alone ρ = 0.4 would keep one (position 1.2 of 0 to 2), over the whole step it keeps two or three.
        using BigramPolicy policy = Toy.Policy();
        char surest = "defgh".MinBy(letter => Entropy(policy, Toy.Tokenizer.Id(letter), temperature));
        double[] entropies = [.. $"bacb{surest}{surest}{surest}".Select(letter => Entropy(policy, Toy.Tokenizer.Id(letter), temperature))];
        double[] sorted = [.. entropies.Order()];
        double threshold = sorted[3] + (0.6 * (sorted[4] - sorted[3])); // position 0.6 · 6 = 3.6
        int kept = entropies.Take(3).Count(entropy => entropy >= threshold);
        Assert.InRange(kept, 2, 3);

        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options with
        {
            TopEntropyFraction = 0.4,
            MicroBatchSize = 1,
            Sampling = Toy.Options.Sampling with { Temperature = temperature },
        });
        UpdateReport update = Assert.Single(
            optimizer.Update([Toy.Scored(Toy.Group(Toy.Prompts[0], "ac.", $"{surest}{surest}{surest}."), 1, 0)]));
        Assert.Equal(-kept / 7.0, update.Loss, 1e-6); // on-policy each kept token's loss is −A = −1; N stays 7
    }

    [Fact]
    public void Constructor_refuses_a_policy_without_entropies_when_the_options_need_them()
    {
        using BigramPolicy inner = Toy.Policy();
        foreach (GrpoOptions options in new[]
        {
            Toy.Options with { EntropyCoefficient = 0.1 },
            Toy.Options with { TopEntropyFraction = 0.5 },
        })
        {
            var exception = Assert.Throws<InvalidOperationException>(
                () => new GrpoOptimizer(new LogProbsOnly(inner), Toy.Sampler, new Toy.LetterReward(), options));
            Assert.Equal(
                "LogProbsOnly computes no entropies. Implement IEntropyPolicy, or set EntropyCoefficient to 0 and TopEntropyFraction to 1.",
                exception.Message);
        }

        new GrpoOptimizer(new LogProbsOnly(inner), Toy.Sampler, new Toy.LetterReward(), Toy.Options).Dispose();
    }

    [Fact]
    public void Update_leaves_out_what_the_policy_moved_away_from()
    {
        // The first update makes "ab." less probable. In the second, with a threshold of 0, its negative advantage is masked:
        // no loss, no gradient.
        ScoredGroup group = Toy.Scored(Toy.Group(Toy.Prompts[0], "ab."), -1);
        GrpoOptions options = Toy.Options with { UpdatesPerRollout = 2, LearningRate = 0.01, MaxGradientNorm = null };
        IReadOnlyList<UpdateReport> masked = Updates(options with { OffPolicyThreshold = 0 }, group);
        IReadOnlyList<UpdateReport> free = Updates(options, group);

        Assert.Equal(free[0].GradientNorm, masked[0].GradientNorm);
        Assert.True(free[1].GradientNorm > 0);
        Assert.Equal((0.0, 0.0), (masked[1].Loss, masked[1].GradientNorm));
    }

    [Fact]
    public async Task StepAsync_moves_the_kl_coefficient_toward_the_target_and_goes_on_from_a_checkpoint()
    {
        // Policy and reference differ by far more than the target: β grows by 1 + 0.1·0.2 = 1.02 a round, the most that it may.
        GrpoOptions options = Toy.Options with { KlCoefficient = 0.5, KlTarget = 1e-3 };
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 12);
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), options, reference);
        double?[] coefficients = [.. (await Steps(optimizer, 3)).Select(update => update.KlCoefficient)];
        Assert.Equal([0.5, 0.5 * 1.02, 0.5 * 1.02 * 1.02], coefficients.Select(coefficient => Math.Round(coefficient!.Value, 12)));

        using var folder = new TemporaryFolder();
        optimizer.Save(folder.Path);
        double? next = (await Steps(optimizer, 1))[0].KlCoefficient;
        using BigramPolicy resumedPolicy = Toy.Policy();
        using var resumed = new GrpoOptimizer(resumedPolicy, Toy.Sampler, new Toy.LetterReward(), options, reference);
        resumed.Load(folder.Path);
        Assert.Equal(next, (await Steps(resumed, 1))[0].KlCoefficient);
    }

    private static async Task<List<UpdateReport>> Steps(GrpoOptimizer optimizer, int count)
    {
        var updates = new List<UpdateReport>();
        for (int step = 0; step < count; step++)
        {
            updates.AddRange((await optimizer.StepAsync(Toy.Prompts)).Updates);
        }

        return updates;
    }

    [Theory]
    [InlineData(SamplerCorrectionMode.Truncate, 1.5)]   // ρ = e^0.5 = 1.65 is cut to the cap
    [InlineData(SamplerCorrectionMode.Mask, 0)]         // … or leaves the token out
    public void Update_weighs_tokens_by_the_ratio_to_the_sampler(SamplerCorrectionMode mode, double factor)
    {
        // One token, on-policy: the loss is −A·ρ. The sampler says half a nat less than the policy, just within the guard.
        using BigramPolicy policy = Toy.Policy();
        double own = Math.Log(policy.Probability(Toy.Tokenizer.Id('b'), Toy.Tokenizer.Id('a')));
        ScoredGroup group = Toy.Scored(Toy.Group(Toy.Prompts[0], "a"), 2);
        group = group with
        {
            Group = group.Group with { Completions = [group.Group.Completions[0] with { LogProbs = [(float)(own - 0.4999)] }] },
        };
        using var optimizer = new GrpoOptimizer(
            policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options with { SamplerCorrectionCap = 1.5, SamplerCorrectionMode = mode });

        Assert.Equal(-2 * factor, Assert.Single(optimizer.Update([group])).Loss, 1e-5);
    }

    [Fact]
    public void Update_asks_for_the_log_probs_that_a_sampler_correction_needs()
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options with { SamplerCorrectionCap = 2 });
        var exception = Assert.Throws<InvalidOperationException>(
            () => optimizer.Update([Toy.Scored(Toy.Group(Toy.Prompts[0], "a.", "b."), 1, -1)]));
        Assert.Equal(
            "SamplerCorrectionCap is 2 but the sampler recorded no log-probs. Set Completion.LogProbs in the "
            + "sampler, or leave the option null.",
            exception.Message);
    }

    private static IReadOnlyList<UpdateReport> Updates(GrpoOptions options, ScoredGroup group)
    {
        using BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), options);
        return optimizer.Update([group]);
    }

    private static double Entropy(BigramPolicy policy, int last, double temperature = 1) =>
        Enumerable.Range(0, Toy.Vocabulary).Select(next => policy.Probability(last, next, temperature)).Sum(p => -p * Math.Log(p));

    /// <summary>A policy of the least that the interface asks for.</summary>
    private sealed class LogProbsOnly(BigramPolicy inner) : IPolicy
    {
        public nn.Module Module => inner.Module;

        public Tensor LogProbs(TokenBatch batch, double temperature) => inner.LogProbs(batch, temperature);

        public IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens) =>
            inner.StartDecoding(prompts, groupSize, maxNewTokens);

        public void Save(string directory) => inner.Save(directory);

        public void Load(string directory) => inner.Load(directory);
    }

    private static (double Loss, float[] Gradient) Update(GrpoOptions options, ScoredGroup group)
    {
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 12);
        using var optimizer = new GrpoOptimizer(
            policy, Toy.Sampler, new Toy.LetterReward(), options with { MaxGradientNorm = null }, reference);
        return (Assert.Single(optimizer.Update([group])).Loss, Toy.SavedMoment(optimizer));
    }
}
