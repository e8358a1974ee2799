using CsCheck;
using Grpo.Losses;

namespace Grpo.Core.Tests.Losses.Advantages;

public sealed class AdvantagePropertyTests
{
    private static readonly Gen<AdvantageFunction> AnyFunction = Gen.OneOf(AdvantageCases.All);

    [Fact]
    public void Compute_is_exactly_zero_for_equal_rewards_of_any_value() =>
        Gen.Select(Gen.Float.Where(float.IsFinite), Gen.Int[1, 64], Gen.Int[1, 50].Array[64], AdvantageCases.Groups, AnyFunction).Sample(
            (reward, size, lengths, others, function) =>
            {
                // Next to live groups, so that the statistics of the step are not 0.
                double?[] rewards = [.. Enumerable.Repeat((double?)reward, size)];
                var dead = new AdvantageGroup(rewards, lengths[..size]) { Parts = [new("only", 1, rewards)] };
                Assert.All(function.Compute([.. others, dead])[^1], advantage => Assert.Equal(0.0, advantage));
            });

    [Fact]
    public void Compute_is_exactly_zero_for_equal_rewards_between_abstentions() =>
        Gen.Select(Gen.Double[-10, 10], Gen.Bool.Array[1, 64], AdvantageCases.Groups, AnyFunction).Sample(
            (reward, scored, others, function) =>
            {
                AdvantageGroup dead = AdvantageCases.Single([.. scored.Select(given => given ? reward : (double?)null)]);
                Assert.All(function.Compute([dead, .. others])[0], advantage => Assert.Equal(0.0, advantage));
            });

    [Fact]
    public void Compute_sums_to_zero_in_every_group_where_the_baseline_is_the_mean() =>
        Gen.Select(AdvantageCases.Groups, Gen.OneOf<AdvantageFunction>(
            new GroupNormalizedAdvantage(), new MeanCenteredAdvantage(), new LeaveOneOutAdvantage(), new BatchNormalizedAdvantage(),
            new PerRewardNormalizedAdvantage())).Sample(
            (groups, function) => Assert.All(function.Compute(groups), group => Assert.Equal(0, group.Sum(), 1e-9)));

    [Fact]
    public void LengthWeighted_sums_to_zero_over_the_tokens_of_a_group() =>
        AdvantageCases.Group.Sample(group =>
            Assert.Equal(
                0, new LengthWeightedAdvantage().Compute([group])[0].Zip(group.Lengths, (advantage, length) => advantage * length).Sum(),
                1e-9));

    [Fact]
    public void ReinforcePlusPlus_has_mean_zero_and_variance_one_over_the_tokens_of_the_step() =>
        AdvantageCases.Group.Where(group => group.Rewards.Distinct().Count() > 1).Array[1, 6].Sample(groups =>
        {
            double[] tokens =
            [
                .. new ReinforcePlusPlusAdvantage().Compute(groups).SelectMany((group, g) =>
                    group.SelectMany((advantage, i) => Enumerable.Repeat(advantage, groups[g].Lengths[i]))),
            ];
            RewardMoments moments = RewardMoments.Compute(tokens);
            Assert.Equal(0, moments.Mean, 1e-9);
            Assert.Equal(1, moments.StdDev, 1e-4); // ε = 1e-8 under the root, the least variance here is about 1e-3
        });

    [Fact]
    public void Compute_does_not_change_when_every_reward_of_the_step_is_shifted() =>
        Gen.Select(AdvantageCases.Groups, Gen.Int[-400, 400], AnyFunction).Sample((groups, shift, function) => Same(
            function.Compute(groups), function.Compute([.. groups.Select(group => group.Map(reward => reward + (shift / 4.0)))]), 1e-8));

    [Fact]
    public void Compute_does_not_change_when_one_group_is_shifted_unless_the_scale_is_that_of_all_raw_rewards() =>
        Gen.Select(AdvantageCases.Groups, Gen.Int[-400, 400], AnyFunction.Where(function => function is not BatchNormalizedAdvantage))
            .Sample(
                (groups, shift, function) => Same(
                    function.Compute(groups), function.Compute([groups[0].Map(reward => reward + (shift / 4.0)), .. groups[1..]]), 1e-8));

    [Fact]
    public void Compute_of_scaled_rewards_is_scaled_where_nothing_is_divided_by_a_deviation() =>
        Gen.Select(AdvantageCases.Groups, Gen.OneOf(.5, 2.0, 8.0), Gen.OneOf<AdvantageFunction>(
            new MeanCenteredAdvantage(), new LeaveOneOutAdvantage(), new LengthWeightedAdvantage())).Sample(
            (groups, factor, function) => Same(
                [.. function.Compute(groups).Select(group => group.Select(advantage => factor * advantage).ToArray())],
                function.Compute([.. groups.Select(group => group.Map(reward => factor * reward, allParts: true))]), 1e-9));

    [Fact]
    public void Compute_of_scaled_rewards_does_not_change_where_it_is_divided_by_a_deviation() =>
        Gen.Select(AdvantageCases.Groups, Gen.OneOf(.5, 2.0, 8.0), Gen.OneOf<AdvantageFunction>(
            new GroupNormalizedAdvantage { Epsilon = 1e-12 }, new BatchNormalizedAdvantage { Epsilon = 1e-12 },
            new PassAtKAdvantage { Epsilon = 1e-12 },
            new PerRewardNormalizedAdvantage { Epsilon = 1e-12 }, new ReinforcePlusPlusAdvantage { Epsilon = 1e-18 })).Sample(
            (groups, factor, function) => Same(
                function.Compute(groups),
                // what the ε leave
                function.Compute([.. groups.Select(group => group.Map(reward => factor * reward, allParts: true))]), 1e-6));

    [Fact]
    public void Compute_follows_a_permutation_of_completions_and_groups() =>
        Gen.Select(AdvantageCases.Groups, Gen.Int[0, 1000], AnyFunction).Sample((groups, seed, function) =>
        {
            var random = new Random(seed);
            int[] order = Shuffled(groups.Length, random);
            int[][] orders = [.. groups.Select(group => Shuffled(group.Rewards.Count, random))];
            double[][] straight = function.Compute(groups);
            double[][] shuffled = function.Compute([.. order.Select(g => groups[g].Pick(orders[g]))]);
            Same([.. order.Select(g => orders[g].Select(i => straight[g][i]).ToArray())], shuffled, 1e-9);
        });

    [Fact]
    public void Compute_leaves_abstentions_out_of_every_statistic() =>
        Gen.Select(AdvantageCases.Groups, Gen.Int[0, 1000], AnyFunction).Sample((groups, seed, function) =>
        {
            var random = new Random(seed);
            double[][] dense = function.Compute(groups);
            (AdvantageGroup Group, int[] Positions)[] sparse = [.. groups.Select(group => Sparse(group, random))];
            double[][] actual = function.Compute([.. sparse.Select(item => item.Group)]);
            for (int g = 0; g < groups.Length; g++)
            {
                Assert.Equal(dense[g], sparse[g].Positions.Select(position => actual[g][position]));
                Assert.All(
                    Enumerable.Range(0, actual[g].Length).Except(sparse[g].Positions), position => Assert.Equal(0.0, actual[g][position]));
            }
        });

    [Fact]
    public void Compute_never_gives_nan_or_infinity() =>
        Gen.Select(Gen.Double.Where(double.IsFinite).Array[0, 8].Array[1, 4], AnyFunction).Sample((rewards, function) =>
        {
            AdvantageGroup[] groups = [.. rewards.Select(group => AdvantageCases.Single([.. group.Select(reward => (double?)reward)]))];
            try
            {
                Assert.All(function.Compute(groups).SelectMany(group => group), advantage => Assert.True(double.IsFinite(advantage)));
            }
            catch (Exception exception) when (exception is ArgumentException or InvalidOperationException)
            {
                Assert.Contains("finite", exception.Message, StringComparison.Ordinal); // refused because they overflow
            }
        });

    // Abstentions between the completions, with lengths and parts that must not count.
    private static (AdvantageGroup Group, int[] Positions) Sparse(AdvantageGroup group, Random random)
    {
        var source = new List<int?>();
        var positions = new List<int>();
        for (int i = 0; i < group.Rewards.Count; i++)
        {
            source.AddRange(Enumerable.Repeat((int?)null, random.Next(3)));
            positions.Add(source.Count);
            source.Add(i);
        }

        var sparse = new AdvantageGroup(
            [.. source.Select(i => i is { } at ? group.Rewards[at] : null)],
            [.. source.Select(i => i is { } at ? group.Lengths[at] : 1000)])
        {
            Parts = [.. group.Parts.Select(part => part with { Values = [.. source.Select(i => i is { } at ? part.Values[at] : 77)] })],
        };
        return (sparse, [.. positions]);
    }

    private static int[] Shuffled(int count, Random random)
    {
        int[] order = [.. Enumerable.Range(0, count)];
        random.Shuffle(order);
        return order;
    }

    private static void Same(double[][] expected, double[][] actual, double tolerance)
    {
        Assert.Equal(expected.Length, actual.Length);
        foreach (var (want, have) in expected.Zip(actual))
        {
            Assert.Equal(want.Length, have.Length);
            Assert.All(want.Zip(have), pair => Assert.Equal(pair.First, pair.Second, tolerance));
        }
    }
}
