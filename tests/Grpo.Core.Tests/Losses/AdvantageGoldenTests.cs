using System.Text.Json;
using Grpo.Core.Tests.Golden;
using Grpo.Losses;
using Grpo.Testing;

namespace Grpo.Core.Tests.Losses;

/// <summary>Against TRL's advantage block, executed verbatim (golden/advantages.json).</summary>
public sealed class AdvantageGoldenTests
{
    [SharedTheory]
    [InlineData("group", AdvantageEstimator.GroupNormalized)]
    [InlineData("none", AdvantageEstimator.MeanCentered)]
    public void Compute_equals_trl_when_functions_are_summed_first(string scaling, AdvantageEstimator estimator)
    {
        int ran = 0;
        foreach (JsonElement item in GoldenFile.Read("advantages.json").GetProperty("cases").EnumerateArray())
        {
            if (item.GetProperty("multi_objective_aggregation").GetString() != "sum_then_normalize" || item.GetProperty("scale_rewards").GetString() != scaling)
            {
                continue;
            }

            ran++;
            string name = item.GetProperty("name").GetString()!;
            int size = item.GetProperty("num_generations").GetInt32();
            double?[] rewards = WeightedSums(item);
            float[] expected = item.GetProperty("advantages").Floats();
            double tolerance = Math.Max(1e-5, 4 * item.GetProperty("max_abs_diff_vs_float64").GetDouble()); // the file's README
            double[] actual = [.. rewards.Chunk(size).SelectMany(group => AdvantageTests.Compute(estimator, group))];

            Assert.Equal(expected.Length, actual.Length);
            for (int i = 0; i < expected.Length; i++)
            {
                Assert.True(Math.Abs(expected[i] - actual[i]) <= tolerance, $"{name}, {scaling}, completion {i}: expected {expected[i]}, got {actual[i]}.");
                Assert.True(rewards[i] is not null || actual[i] == 0, $"{name}: completion {i} has no score but advantage {actual[i]}.");
            }
        }

        Assert.Equal(17, ran);
    }

    // Σ w·r over the functions that gave one; null when none did. In float32, as the rewards reached the reference.
    private static double?[] WeightedSums(JsonElement item)
    {
        double[] weights = [.. item.GetProperty("reward_weights").EnumerateArray().Select(weight => weight.GetDouble())];
        return [.. item.GetProperty("rewards_per_func").EnumerateArray().Select(row =>
        {
            double?[] parts = [.. row.EnumerateArray().Select((reward, i) => reward.NumberOrNull() * weights[i])];
            return parts.All(part => part is null) ? null : parts.Sum();
        })];
    }
}
