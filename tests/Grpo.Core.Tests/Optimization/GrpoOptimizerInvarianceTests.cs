using Grpo.Core.Tests.Golden;
using Grpo.Losses;
using Grpo.Testing;

namespace Grpo.Core.Tests.Optimization;

/// <summary>What must not change a step: the micro-batch size, the order of sequences, another run of the same seed, a pause.</summary>
[Trait("Speed", "Slow")]
public sealed class GrpoOptimizerInvarianceTests
{
    [Theory]
    [InlineData(LossReduction.TokenMean)]
    [InlineData(LossReduction.SequenceMean)]
    [InlineData(LossReduction.FixedLength)]
    public async Task Update_does_not_depend_on_micro_batches_or_order(LossReduction reduction)
    {
        IReadOnlyList<ScoredGroup> groups = await Groups();
        (double loss, double norm, float[] gradient) = Run(groups, reduction, microBatchSize: 8);
        Assert.True(gradient.Max(Math.Abs) > 1e-3);
        var random = new Random(5);
        foreach ((int size, int? budget) in new (int, int?)[] { (1, null), (3, null), (8, null), (100, null), (100, 1), (8, 23), (100,
            40) })
        {
            for (int order = 0; order < 4; order++)
            {
                ScoredGroup[] shuffled = [.. groups.Select(group => order == 0 ? group : Shuffle(group, random))];
                if (order > 0)
                {
                    random.Shuffle(shuffled);
                }

                (double otherLoss, double otherNorm, float[] otherGradient) = Run(shuffled, reduction, size, budget);
                string what = $"micro-batches of {size} sequences and {budget} tokens, order {order}";
                Near.EqualRelative(gradient, otherGradient, 1e-5, $"gradient with {what}");
                Assert.True(
                    Math.Abs(loss - otherLoss) <= 1e-5 * Math.Max(Math.Abs(loss), 0.1), $"loss with {what}: {loss} became {otherLoss}.");
                Assert.True(Math.Abs(norm - otherNorm) <= 1e-5 * norm, $"gradient norm with {what}: {norm} became {otherNorm}.");
            }
        }
    }

    [Fact]
    public async Task StepAsync_is_equal_to_the_bit_when_the_seed_is()
    {
        (string[] reports, float[] weights) = await Train(seed: 42);
        (string[] again, float[] weightsAgain) = await Train(seed: 42);
        (string[] other, float[] otherWeights) = await Train(seed: 43);
        Assert.Equal(reports, again);
        Assert.Equal(weights, weightsAgain);
        Assert.NotEqual(reports, other);
        Assert.NotEqual(weights, otherWeights);
    }

    [Fact]
    public async Task Load_continues_to_the_bit_where_Save_left_off()
    {
        using var folder = new TemporaryFolder();
        using BigramPolicy policy = Toy.Policy(), resumed = Toy.Policy(seed: 99);
        using GrpoOptimizer whole = Optimizer(policy), second = Optimizer(resumed);
        for (int step = 0; step < 4; step++)
        {
            await whole.StepAsync(Toy.Prompts);
        }

        whole.Save(folder.Path);
        second.Load(folder.Path);
        Assert.Equal(4, second.Step);
        for (int step = 0; step < 4; step++)
        {
            Assert.Equal(Toy.Describe(await whole.StepAsync(Toy.Prompts)), Toy.Describe(await second.StepAsync(Toy.Prompts)));
        }

        Assert.Equal(policy.Weights(), resumed.Weights());
        Assert.Equal(Toy.SavedMoment(whole), Toy.SavedMoment(second));
        Assert.Equal(Toy.SavedMoment(whole, "exp_avg_sq.table"), Toy.SavedMoment(second, "exp_avg_sq.table"));
    }

    private static GrpoOptimizer Optimizer(BigramPolicy policy, ulong seed = 42) => new(
        policy, Toy.Sampler, new Toy.LetterReward(),
        Toy.Options with { Seed = seed, UpdatesPerRollout = 2, WarmupSteps = 3, WeightDecay = 0.01 });

    private static async Task<(string[] Reports, float[] Weights)> Train(ulong seed)
    {
        using BigramPolicy policy = Toy.Policy();
        using GrpoOptimizer optimizer = Optimizer(policy, seed);
        var reports = new List<string>();
        for (int step = 0; step < 5; step++)
        {
            reports.Add(Toy.Describe(await optimizer.StepAsync(Toy.Prompts)));
        }

        return ([.. reports], policy.Weights());
    }

    private static async Task<IReadOnlyList<ScoredGroup>> Groups()
    {
        using BigramPolicy policy = Toy.Policy();
        using GrpoOptimizer optimizer = Optimizer(policy);
        return (await optimizer.ScoreAsync(await optimizer.RolloutAsync(Toy.Prompts))).Groups;
    }

    private static (double Loss, double Norm, float[] Gradient) Run(
        IReadOnlyList<ScoredGroup> groups, LossReduction reduction, int microBatchSize, int? budget = null)
    {
        using BigramPolicy policy = Toy.Policy(), reference = Toy.Policy(seed: 12);
        using var optimizer = new GrpoOptimizer(
            policy, Toy.Sampler, new Toy.LetterReward(),
            GrpoOptimizerTests.Gradients(Toy.Options) with
            {
                Reduction = reduction,
                MicroBatchSize = microBatchSize,
                MaxTokensPerMicroBatch = budget,
                KlCoefficient = 0.04,
            }, reference);
        UpdateReport update = optimizer.Update(groups)[0];
        return (update.Loss, update.GradientNorm, Toy.SavedMoment(optimizer));
    }

    private static ScoredGroup Shuffle(ScoredGroup group, Random random)
    {
        int[] order = [.. Enumerable.Range(0, group.Rewards.Count)];
        random.Shuffle(order);
        return new ScoredGroup(
            group.Group with { Completions = [.. order.Select(i => group.Group.Completions[i])] },
            [.. order.Select(i => group.Rewards[i])], [.. order.Select(i => group.Advantages[i])]);
    }
}
