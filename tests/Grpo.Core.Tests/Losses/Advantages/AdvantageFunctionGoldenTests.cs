using System.Text.Json;
using Grpo.Core.Tests.Golden;
using Grpo.Losses;
using Grpo.Testing;

namespace Grpo.Core.Tests.Losses.Advantages;

/// <summary>Against TRL's advantage block, executed verbatim, and two other trainers (golden/advantages.json).</summary>
public sealed class AdvantageFunctionGoldenTests
{
    [SharedTheory]
    [InlineData("sum_then_normalize", "group", typeof(GroupNormalizedAdvantage))]
    [InlineData("sum_then_normalize", "batch", typeof(BatchNormalizedAdvantage))]
    [InlineData("sum_then_normalize", "none", typeof(MeanCenteredAdvantage))]
    [InlineData("normalize_then_sum", null, typeof(PerRewardNormalizedAdvantage))]
    public void Compute_equals_trl(string aggregation, string? scaling, Type type)
    {
        var function = (AdvantageFunction)Activator.CreateInstance(type)!;
        foreach (JsonElement item in Cases(aggregation, scaling))
        {
            string name = $"{item.GetProperty("name").GetString()}, {aggregation}, {scaling}";
            AdvantageGroup[] groups = Groups(item);
            double[] actual = [.. function.Compute(groups).SelectMany(group => group)];
            float[] expected = item.GetProperty("advantages").Floats();
            double tolerance = Math.Max(1e-5, 4 * item.GetProperty("max_abs_diff_vs_float64").GetDouble()); // the file's README
            Assert.Equal(expected.Length, actual.Length);
            for (int i = 0; i < expected.Length; i++)
            {
                Assert.True(
                    Math.Abs(expected[i] - actual[i]) <= tolerance, $"{name}, completion {i}: expected {expected[i]}, got {actual[i]}.");
            }

            // A group of equal rewards, where TRL leaves −2e-8 (normalize_then_sum), and an abstention are exactly 0.
            Assert.All(function.Compute(groups).Zip(groups), pair => Assert.True(
                pair.Second.Rewards.OfType<double>().Distinct().Count() > 1 || pair.First.All(advantage => advantage == 0), name));
        }
    }

    [SharedTheory]
    [InlineData("sum_then_normalize", "group")]
    [InlineData("sum_then_normalize", "batch")]
    [InlineData("sum_then_normalize", "none")]
    [InlineData("normalize_then_sum", null)]
    public void Moments_equal_the_reward_metrics_of_trl(string aggregation, string? scaling)
    {
        foreach (JsonElement item in Cases(aggregation, scaling))
        {
            string name = item.GetProperty("name").GetString()!;
            JsonElement metrics = item.GetProperty("metrics");
            AdvantageGroup[] groups = Groups(item);
            Equal(metrics, "reward", "reward_std", RewardMoments.Compute(groups.SelectMany(group => group.Rewards).OfType<double>()), name);
            for (int k = 0; k < groups[0].Parts.Count; k++)
            {
                var values = RewardMoments.Compute(groups.SelectMany(group => group.Parts[k].Values).OfType<double>());
                Equal(metrics, $"rewards/f{k}/mean", $"rewards/f{k}/std", values, name);
            }
        }
    }

    [SharedTheory]
    [InlineData("group")]
    [InlineData("none")]
    public void DeadFraction_equals_frac_reward_zero_std_of_trl(string scaling)
    {
        foreach (JsonElement item in Cases("sum_then_normalize", scaling))
        {
            AdvantageGroup[] groups = Groups(item);
            double expected = item.GetProperty("metrics").GetProperty("frac_reward_zero_std").GetDouble();

            // Deviation: a group of which fewer than two completions have a score teaches nothing and is dead here. There its standard
            // deviation is NaN and it is not counted, unless the group size is 1.
            int undefined = groups.Count(group => group.Rewards.Count > 1 && group.Rewards.OfType<double>().Count() < 2);
            double actual = GroupFilter.Create(new MeanCenteredAdvantage(), groups).DeadFraction;
            Assert.Equal(expected, actual - (undefined / (double)groups.Length), 1e-12);
        }
    }

    [SharedTheory]
    [InlineData("sum_then_normalize", "batch")]
    [InlineData("normalize_then_sum", null)]
    public void DeadFraction_counts_groups_where_trl_says_only_whether_the_whole_step_is_dead(string aggregation, string? scaling)
    {
        AdvantageFunction function = scaling is null ? new PerRewardNormalizedAdvantage() : new BatchNormalizedAdvantage();
        foreach (JsonElement item in Cases(aggregation, scaling))
        {
            AdvantageGroup[] groups = Groups(item);
            double dead = GroupFilter.Create(function, groups).DeadFraction;

            // Counted by hand: dead is a group of fewer than two scores, or one in which nothing that has a weight differs.
            Assert.Equal(
                groups.Count(group => group.Rewards.OfType<double>().Count() < 2 || !Differs(group)) / (double)groups.Length, dead);

            // Where TRL says that the whole step is dead, every group of it is; it says so of no other.
            if (item.GetProperty("metrics").GetProperty("frac_reward_zero_std").GetDouble() == 1)
            {
                Assert.Equal(1, dead);
            }
        }

        bool Differs(AdvantageGroup group) => scaling is not null
            ? group.Rewards.OfType<double>().Distinct().Count() > 1
            : group.Parts.Any(part => part.Weight != 0 && part.Values.OfType<double>().Distinct().Count() > 1);
    }

    [SharedFact]
    public void Compute_equals_thelmbook_and_grpo_zero()
    {
        foreach (JsonElement item in GoldenFile.Read("advantages.json").Items("other_implementations"))
        {
            AdvantageGroup[] groups =
            [
                .. item.GetProperty("rewards").Floats().Chunk(item.GetProperty("num_generations").GetInt32())
                    .Select(group => AdvantageCases.Single([.. group.Select(reward => (double?)reward)])),
            ];
            Equal("thelmbook_advantages", new GroupNormalizedAdvantage());
            Equal("grpo_zero_advantages_population_std", new PopulationNormalized());

            void Equal(string name, AdvantageFunction function)
            {
                float[] expected = item.GetProperty(name).Floats();
                double[] actual = [.. function.Compute(groups).SelectMany(group => group)];
                Assert.Equal(expected.Length, actual.Length);
                Assert.All(expected.Zip(actual), pair => Assert.Equal(pair.First, pair.Second, 1e-5));
            }
        }
    }

    private static IReadOnlyList<JsonElement> Cases(string aggregation, string? scaling) => GoldenItems.AtLeastOne(
        GoldenFile.Read("advantages.json").Items("cases").Where(item =>
            item.GetProperty("multi_objective_aggregation").GetString() == aggregation
                && item.GetProperty("scale_rewards").GetString() == scaling),
        $"cases of {aggregation}, {scaling}");

    private static AdvantageGroup[] Groups(JsonElement item)
    {
        double[] weights = [.. item.GetProperty("reward_weights").EnumerateArray().Select(weight => weight.GetDouble())];
        double?[][] rows = // the exact float32, not its shortest decimal: the difference shows where rewards are nearly equal
        [
            .. item.GetProperty("rewards_per_func").EnumerateArray().Select(row =>
                row.EnumerateArray().Select(reward => (double?)(float?)reward.NumberOrNull()).ToArray()),
        ];
        return
        [
            .. rows.Chunk(item.GetProperty("num_generations").GetInt32()).Select(group => new AdvantageGroup(
                [.. group.Select(row => row.All(part => part is null) ? null : row.Zip(weights, (part, weight) => part * weight).Sum())],
                [.. group.Select(_ => 7)])
            {
                Parts = [.. weights.Select((weight, k) => new RewardPart($"f{k}", weight, [.. group.Select(row => row[k])]))],
            }),
        ];
    }

    private static void Equal(JsonElement metrics, string mean, string deviation, RewardMoments actual, string name)
    {
        Near.Equal(metrics.GetProperty(mean).Number(), actual.Mean, 1e-5, $"{name}, {mean}");

        // Of a single value the standard deviation is NaN there and 0 here.
        double expected = metrics.GetProperty(deviation).NumberOrNull() ?? 0;
        Assert.Equal(actual.Count < 2, metrics.GetProperty(deviation).ValueKind == JsonValueKind.Null);
        Near.Equal(expected, actual.StdDev, 1e-5, $"{name}, {deviation}");
    }

    // GRPO-Zero's: std with G.
    private sealed record PopulationNormalized : GroupAdvantageFunction
    {
        public override string Name => "GRPO-Zero";

        protected override IEnumerable<double> Estimate(GroupScores group)
        {
            double deviation = group.Moments.StdDev * Math.Sqrt((group.Rewards.Count - 1.0) / group.Rewards.Count);
            return group.Rewards.Select(reward => (reward - group.Moments.Mean) / (deviation + 1e-4));
        }
    }
}
