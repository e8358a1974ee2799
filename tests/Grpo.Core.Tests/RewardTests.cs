namespace Grpo.Core.Tests;

public sealed class RewardTests
{
    [Fact]
    public void Conversions_carry_the_value_or_its_absence()
    {
        Reward given = 0.5;
        Reward missing = (double?)null;
        Assert.Equal(0.5, given.Value);
        Assert.Null(missing.Value);
        Assert.Equal(Reward.Abstain, missing);
        Assert.Equal(given, Reward.ToReward(0.5));
    }
}
