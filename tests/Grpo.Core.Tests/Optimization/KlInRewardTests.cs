using Grpo.Losses;
using Grpo.Tensors;
using Grpo.Testing;

namespace Grpo.Core.Tests.Optimization;

/// <summary>β·k1 taken off the reward, and nothing of it in the loss.</summary>
public sealed class KlInRewardTests
{
    private static GrpoOptions Options => Toy.Options with
    {
        KlCoefficient = 0.5,
        KlEstimator = KlEstimator.K1InReward,
        Advantage = new MeanCenteredAdvantage(),
        LearningRate = 0,
        AdamBeta1 = 0,
        MaxGradientNorm = null,
    };

    [Theory]
    [InlineData(true, 1)]
    [InlineData(false, 1)]
    [InlineData(true, 2)]
    [InlineData(false, 2)]
    public async Task ScoreAsync_takes_the_divergence_of_each_completion_off_its_reward(bool recorded, double temperature)
    {
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 12);
        RolloutGroup group = Toy.Group(Toy.Prompts[0], "ab.", "c.", ""); // the prompt ends in b
        double first = X(policy, reference, "bab.", temperature), second = X(policy, reference, "bc.", temperature);
        if (recorded)
        {
            group = group with
            {
                Completions = [.. group.Completions.Select((completion, i) => completion with
                {
                    LogProbs = Recorded(policy, i == 0 ? "bab." : i == 1 ? "bc." : "b", temperature),
                })],
            };
        }

        GrpoOptions options = Options with { Sampling = Options.Sampling with { Temperature = temperature } };
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, Letters(), options, reference);
        ScoredStep step = await optimizer.ScoreAsync([group]);
        ScoredGroup scored = Assert.Single(step.Groups);

        double[] shaped = [.5 - (.5 * first), 0 - (.5 * second), 0]; // "ab": half the letters are a
        double mean = shaped.Average();
        Assert.All(shaped.Zip(scored.Advantages), pair => Assert.Equal(pair.First - mean, pair.Second, 1e-6));
        Assert.Equal([.5, 0, 0], scored.Rewards.Select(reward => reward.Value!.Value)); // the report shows what was given
        Assert.Equal(recorded ? 0 : 1, policy.LogProbsCalls);

        UpdateReport update = Assert.Single(optimizer.Update(step));
        Assert.Equal((first + second) / 5, update.Kl!.Value, 1e-6); // five tokens
        Assert.Equal(.5, update.KlCoefficient);
    }

    [Fact]
    public async Task Update_has_no_kl_term_in_the_loss()
    {
        // The same advantages with and without β: the same loss and gradient.
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 12);
        using var shaping = new GrpoOptimizer(policy, Toy.Sampler, Letters(), Options, reference);
        ScoredStep scored = await shaping.ScoreAsync([Toy.Group(Toy.Prompts[0], "ab.", "c.")]);
        UpdateReport shaped = Assert.Single(shaping.Update(scored));
        using var plain = new GrpoOptimizer(
            policy, Toy.Sampler, Letters(), Options with { KlCoefficient = 0, KlEstimator = KlEstimator.K3 });
        UpdateReport bare = Assert.Single(plain.Update(scored.Groups));

        Assert.Equal(bare.Loss, shaped.Loss);
        Assert.Equal(Toy.SavedMoment(plain), Toy.SavedMoment(shaping));
    }

    [Fact]
    public async Task Update_runs_nothing_when_a_group_is_without_spread()
    {
        // Policy = reference: the penalty is 0, the rewards are equal, and there is no KL term in the loss that would train all the same.
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, Letters(), Options, reference);
        ScoredStep scored = await optimizer.ScoreAsync([Toy.Group(Toy.Prompts[0], "b.", "c.")]);
        Assert.Empty(optimizer.Update(scored));
    }

    [Fact]
    public async Task Update_has_no_divergence_for_groups_that_it_has_not_scored()
    {
        // A group kept from elsewhere: neither an error nor the divergence of the step before, and an adaptive β stays.
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 12);
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, Letters(), Options with { KlTarget = 1e-3 }, reference);
        await optimizer.StepAsync(Toy.Prompts);
        UpdateReport update = Assert.Single(optimizer.Update([Toy.Scored(Toy.Group(Toy.Prompts[0], "ab.", "c."), 1, -1)]));
        Assert.Equal((null, null, 2L), (update.Kl, update.KlCoefficient, optimizer.Step));
        Assert.Equal(.51, Math.Round((await optimizer.StepAsync(Toy.Prompts)).Updates[0].KlCoefficient!.Value, 12));
    }

    [Fact]
    public async Task ScoreAsync_leaves_an_abstention_an_abstention()
    {
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 12);
        var reward = new Toy.TestReward((_, completion) => completion.Text == "c" ? Reward.Abstain : 1);
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, reward, Options, reference);
        ScoredGroup scored = Assert.Single((await optimizer.ScoreAsync([Toy.Group(Toy.Prompts[0], "ab.", "c.", "d.")])).Groups);
        Assert.Equal(0, scored.Advantages[1]);
        Assert.NotEqual(0, scored.Advantages[0]);
        Assert.Equal(-scored.Advantages[0], scored.Advantages[2], 1e-12);
    }

    [Fact]
    public async Task StepAsync_moves_the_coefficient_by_the_divergence_of_the_rollout()
    {
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 12);
        GrpoOptions options = Options with { KlTarget = 1e-3, LearningRate = 0.05 };
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, Letters(), options, reference);
        UpdateReport first = (await optimizer.StepAsync(Toy.Prompts)).Updates[0],
            second = (await optimizer.StepAsync(Toy.Prompts)).Updates[0];
        Assert.True(first.Kl > 2e-3); // far above the target: β grows by the most it may, 2 %
        Assert.Equal((.5, .51), (first.KlCoefficient!.Value, Math.Round(second.KlCoefficient!.Value, 12)));
    }

    [Fact]
    public async Task ScoreAsync_names_the_completion_whose_divergence_is_not_finite()
    {
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 12);
        using (TensorScope scope = TensorScope.BeginNoGrad())
        {
            reference.Table.fill_(float.NaN);
        }

        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, Letters(), Options, reference);
        var exception = await Assert.ThrowsAsync<TrainingDivergedException>(
            () => optimizer.ScoreAsync([Toy.Group(Toy.Prompts[0], "ab.", "c.")]));
        Assert.StartsWith(
            "The KL penalty of prompt 'p0', sample 0 cannot be computed; nothing was applied. Token 0 has log-prob", exception.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void Validate_refuses_what_the_penalty_would_be_lost_on()
    {
        Assert.Empty(Options.Validate());
        Assert.Equal(
            "MaxSamplingRounds is 4 but must be 1 with K1InReward: the penalty differs within every group, so no group has equal rewards "
            + "and none would be replaced.",
            Assert.Single((Options with { MaxSamplingRounds = 4 }).Validate()));
        Assert.Equal(
            "Advantage is per-reward-normalized but must be another one with K1InReward: it reads the parts of the reward, and "
            + "the penalty is taken off their sum.",
            Assert.Single((Options with { Advantage = new PerRewardNormalizedAdvantage() }).Validate()));
    }

    private static Toy.LetterReward Letters() => new();

    // Σ (log π − log π_ref) over the letters after the first; a dot is the end.
    private static double X(BigramPolicy policy, BigramPolicy reference, string path, double temperature) =>
        LogProbs(policy, path, temperature).Zip(LogProbs(reference, path, temperature), (own, other) => own - other).Sum();

    private static float[] Recorded(BigramPolicy policy, string path, double temperature) =>
        [.. LogProbs(policy, path, temperature).Select(value => (float)value)];

    private static IEnumerable<double> LogProbs(BigramPolicy policy, string path, double temperature) =>
        path.Zip(path.Skip(1), (last, next) => Math.Log(policy.Probability(Id(last), Id(next), temperature)));

    private static int Id(char letter) => letter == '.' ? CharTokenizer.End : Toy.Tokenizer.Id(letter);
}
