using Grpo.Losses;

namespace Grpo.Core.Tests.Losses.Advantages;

public sealed class RewardMomentsTests
{
    [Fact]
    public void Of_measures()
    {
        RewardMoments moments = RewardMoments.Of([3, 1, 2]);
        Assert.Equal(new RewardMoments(3, 2, 1, 1, 3), moments);
        Assert.True(moments.HasSpread);
    }

    [Fact]
    public void Of_equal_values_has_no_deviation()
    {
        // 0.1 + 0.1 + 0.1 is not 0.3 in binary, so a mean by summing would not be 0.1.
        Assert.Equal(new RewardMoments(3, .1, 0, .1, .1), RewardMoments.Of([.1, .1, .1]));
        Assert.False(RewardMoments.Of([.1, .1, .1]).HasSpread);
        Assert.False(RewardMoments.Of([5]).HasSpread);
        Assert.Equal(default, RewardMoments.Of([]));
    }

    [Fact]
    public void Of_does_not_square_into_infinity_or_zero()
    {
        Assert.Equal(1e200 * Math.Sqrt(2), RewardMoments.Of([1e200, -1e200]).Deviation);
        Assert.Equal(1e-200 * Math.Sqrt(2), RewardMoments.Of([1e-200, -1e-200]).Deviation);
    }

    [Theory]
    [InlineData(double.NaN, 1)]
    [InlineData(double.PositiveInfinity, double.PositiveInfinity)]
    [InlineData(double.MaxValue, -double.MaxValue)]
    public void Of_refuses_what_has_no_finite_moments(double first, double second)
    {
        var exception = Assert.Throws<ArgumentException>(() => RewardMoments.Of([first, second]));
        Assert.Contains("both must be finite", exception.Message, StringComparison.Ordinal);
    }
}
