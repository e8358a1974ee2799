using Grpo.Losses;

namespace Grpo.Core.Tests.Losses.Advantages;

public sealed class KlShapedRewardTests
{
    [Fact]
    public void Compute_subtracts_the_penalty()
    {
        // Σ = (−0.5 + 1) + (−0.25 + 0.125) = 0.375; 2 − 0.5·0.375
        Assert.Equal(1.8125, KlShapedReward.Compute(2, [-.5f, -.25f], [-1f, -.125f], .5));
        Assert.Equal(.375, KlShapedReward.K1([-.5f, -.25f], [-1f, -.125f]));
    }

    [Fact]
    public void Compute_may_add_for_a_completion_that_the_reference_prefers() =>
        Assert.Equal(2.5, KlShapedReward.Compute(2, [-1f], [-.5f], 1));

    [Fact]
    public void Compute_leaves_an_abstention_an_abstention() => Assert.Null(KlShapedReward.Compute(null, [-.5f], [-1f], .5));

    [Fact]
    public void Compute_leaves_the_reward_when_the_policy_is_the_reference_or_the_coefficient_is_zero()
    {
        Assert.Equal(.1, KlShapedReward.Compute(.1, [-.3f, -.7f], [-.3f, -.7f], 10));
        Assert.Equal(.1, KlShapedReward.Compute(.1, [-.3f, -.7f], [-3f, -7f], 0));
        Assert.Equal(.1, KlShapedReward.Compute(.1, [], [], 1));
    }

    [Fact]
    public void K1_sums_a_long_completion_in_double_precision()
    {
        // In float32 the sum of 100 000 differences of 0.1 is off by about 1.
        float[] logProbs = [.. Enumerable.Repeat(-.1f, 100_000)], reference = [.. Enumerable.Repeat(-.2f, 100_000)];
        Assert.Equal(100_000 * ((double)-.1f - -.2f), KlShapedReward.K1(logProbs, reference), 1e-6);
    }

    [Fact]
    public void Compute_refuses_what_has_no_meaning()
    {
        var lengths = Assert.Throws<ArgumentException>(() => KlShapedReward.Compute(1, [-1f, -2f], [-1f], .1));
        Assert.StartsWith("There are 2 log-probs of the policy but 1 of the reference;", lengths.Message, StringComparison.Ordinal);

        var nan = Assert.Throws<ArgumentException>(() => KlShapedReward.Compute(1, [-1f, float.NaN], [-1f, -1f], .1));
        Assert.StartsWith("Token 1 has log-prob NaN under the policy and -1 under the reference;", nan.Message, StringComparison.Ordinal);

        Assert.Throws<ArgumentOutOfRangeException>(() => KlShapedReward.Compute(1, [], [], -.1));
        Assert.Throws<ArgumentOutOfRangeException>(() => KlShapedReward.Compute(1, [], [], double.NaN));
    }
}
