using Grpo.Losses;

namespace Grpo.Core.Tests.Losses.Advantages;

public sealed class RewardMomentsTests
{
    [Fact]
    public void Compute_measures()
    {
        RewardMoments moments = RewardMoments.Compute([3, 1, 2]);
        Assert.Equal(new RewardMoments(3, 2, 1, 1, 3), moments);
        Assert.True(moments.HasSpread);
    }

    [Fact]
    public void Compute_of_equal_values_has_a_StdDev_of_0()
    {
        // 0.1 + 0.1 + 0.1 is not 0.3 in binary, so a mean by summing would not be 0.1.
        Assert.Equal(new RewardMoments(3, .1, 0, .1, .1), RewardMoments.Compute([.1, .1, .1]));
        Assert.False(RewardMoments.Compute([.1, .1, .1]).HasSpread);
        Assert.False(RewardMoments.Compute([5]).HasSpread);
        Assert.Equal(default, RewardMoments.Compute([]));
    }

    [Fact]
    public void Compute_does_not_square_into_infinity_or_zero()
    {
        Assert.Equal(1e200 * Math.Sqrt(2), RewardMoments.Compute([1e200, -1e200]).StdDev);
        Assert.Equal(1e-200 * Math.Sqrt(2), RewardMoments.Compute([1e-200, -1e-200]).StdDev);
    }

    [Theory]
    [InlineData(double.NaN, 1)]
    [InlineData(double.PositiveInfinity, double.PositiveInfinity)]
    [InlineData(double.MaxValue, -double.MaxValue)]
    public void Compute_refuses_what_has_no_finite_moments(double first, double second)
    {
        var exception = Assert.Throws<ArgumentException>(() => RewardMoments.Compute([first, second]));
        Assert.Contains("both must be finite", exception.Message, StringComparison.Ordinal);
    }
}
