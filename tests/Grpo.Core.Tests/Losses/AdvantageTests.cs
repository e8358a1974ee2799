using CsCheck;
using Grpo.Core.Tests.Golden;
using Grpo.Losses;

namespace Grpo.Core.Tests.Losses;

public sealed class AdvantageTests
{
    [Theory]
    [InlineData(AdvantageEstimator.GroupNormalized, new[] { 1.059796, -.670483, -1.016539, .627226 })]
    [InlineData(AdvantageEstimator.MeanCentered, new[] { 1.225, -.775, -1.175, .725 })]
    [InlineData(AdvantageEstimator.LeaveOneOut, new[] { 1.633333, -1.033333, -1.566667, .966667 })]
    public void Compute_gives_the_worked_values(AdvantageEstimator estimator, double[] expected)
    {
        // mean 1.575, deviations 1.225, −0.775, −1.175, 0.725, their squares 4.0075, std √(4.0075/3) = 1.155783.
        double[] actual = Compute(estimator, 2.8, .8, .4, 2.3);
        for (int i = 0; i < expected.Length; i++)
        {
            Assert.Equal(expected[i], actual[i], 1e-6); // the worked values have six decimals
        }
    }

    [Fact]
    public void Compute_is_exactly_zero_when_all_rewards_are_equal() =>
        Gen.Select(Gen.Float.Where(float.IsFinite), Gen.Int[2, 64], Gen.Enum<AdvantageEstimator>()).Sample(
            (reward, size, estimator) =>
            {
                double[] advantages = Compute(estimator, [.. Enumerable.Repeat((double?)reward, size)]);
                Assert.All(advantages, advantage => Assert.Equal(0.0, advantage));
            });

    [Fact]
    public void Compute_is_exactly_zero_when_equal_rewards_stand_between_abstentions() =>
        Gen.Select(Gen.Double[-10, 10], Gen.Bool.Array[2, 64], Gen.Enum<AdvantageEstimator>()).Sample(
            (reward, given, estimator) =>
            {
                double[] advantages = Compute(estimator, [.. given.Select(scored => scored ? reward : (double?)null)]);
                Assert.All(advantages, advantage => Assert.Equal(0.0, advantage));
            });

    [Fact]
    public void Compute_leaves_abstentions_out_of_the_statistics() =>
        Gen.Select(Gen.Double[-10, 10].Array[2, 16], Gen.Int[0, 1000], Gen.Enum<AdvantageEstimator>()).Sample(
            (rewards, seed, estimator) =>
            {
                double[] dense = Compute(estimator, [.. rewards.Select(reward => (double?)reward)]);
                var random = new Random(seed);
                var sparse = new List<double?>();
                var positions = new List<int>();
                foreach (double reward in rewards)
                {
                    sparse.AddRange(Enumerable.Repeat((double?)null, random.Next(3)));
                    positions.Add(sparse.Count);
                    sparse.Add(reward);
                }

                double[] actual = Compute(estimator, [.. sparse]);
                Assert.Equal(dense, positions.Select(position => actual[position]));
                Assert.All(Enumerable.Range(0, actual.Length).Except(positions), position => Assert.Equal(0.0, actual[position]));
            });

    [Fact]
    public void Compute_sums_to_zero() =>
        Gen.Select(Gen.Double[-10, 10].Array[2, 64], Gen.Enum<AdvantageEstimator>()).Sample(
            (rewards, estimator) => Assert.Equal(0, Compute(estimator, [.. rewards.Select(reward => (double?)reward)]).Sum(), 1e-9));

    [Fact]
    public void LeaveOneOut_compares_each_reward_with_the_mean_of_the_others()
    {
        double[] advantages = Compute(AdvantageEstimator.LeaveOneOut, 3, 1, null, 2);
        Assert.Equal([1.5, -1.5, 0, 0], advantages); // 3 − (1+2)/2, 1 − (3+2)/2, abstained, 2 − (3+1)/2
    }

    [Theory]
    [InlineData(AdvantageEstimator.GroupNormalized)]
    [InlineData(AdvantageEstimator.MeanCentered)]
    [InlineData(AdvantageEstimator.LeaveOneOut)]
    public void Compute_is_zero_when_fewer_than_two_completions_have_a_score(AdvantageEstimator estimator)
    {
        Assert.Equal([0, 0, 0], Compute(estimator, null, 5, null));
        Assert.Equal([0, 0], Compute(estimator, null, null));
        Assert.Equal([0], Compute(estimator, 5));
        Assert.Empty(Compute(estimator));
    }

    [Fact]
    public void Compute_overwrites_what_the_span_held()
    {
        double[] advantages = [7, 8, 9];
        Advantage.Compute(AdvantageEstimator.GroupNormalized, [1, 1, null], advantages);
        Assert.Equal([0, 0, 0], advantages);
    }

    [Fact]
    public void Compute_refuses_nan_and_infinity()
    {
        var exception = Assert.Throws<ArgumentException>(() => Compute(AdvantageEstimator.GroupNormalized, 1, double.NaN));
        Assert.StartsWith("Reward 1 of the group is NaN; rewards must be finite (null abstains).", exception.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Compute(AdvantageEstimator.MeanCentered, double.PositiveInfinity, 1));
        Assert.Throws<ArgumentException>(() => Compute(AdvantageEstimator.LeaveOneOut, 1, double.NegativeInfinity));
    }

    [Fact]
    public void Compute_refuses_a_span_of_another_length()
    {
        var exception = Assert.Throws<ArgumentException>(() => Advantage.Compute(AdvantageEstimator.MeanCentered, [1, 2, 3], new double[2]));
        Assert.StartsWith("There are 3 rewards but room for 2 advantages.", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Compute_refuses_an_unknown_estimator() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => Compute((AdvantageEstimator)9, 1, 2));

    internal static double[] Compute(AdvantageEstimator estimator, params double?[] rewards)
    {
        var advantages = new double[rewards.Length];
        Advantage.Compute(estimator, rewards, advantages);
        return advantages;
    }
}
