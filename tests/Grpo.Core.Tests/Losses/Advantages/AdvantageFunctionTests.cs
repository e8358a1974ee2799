using Grpo.Losses;

namespace Grpo.Core.Tests.Losses.Advantages;

/// <summary>What no advantage function may get wrong, and the values worked by hand.</summary>
public sealed class AdvantageFunctionTests
{
    // mean 2, std 1 · mean 0.5, std √0.5
    [Fact]
    public void GroupNormalized_gives_the_worked_values() =>
        Equal(new GroupNormalizedAdvantage(), [.99990001, -.99990001, 0, 0], [-.70700680, .70700680]);

    [Fact]
    public void MeanCentered_gives_the_worked_values() => Equal(new MeanCenteredAdvantage(), [1, -1, 0, 0], [-.5, .5]);

    // 3 − (1 + 2)/2, 1 − (3 + 2)/2, 2 − (3 + 1)/2 · 0 − 1, 1 − 0
    [Fact]
    public void LeaveOneOut_gives_the_worked_values() => Equal(new LeaveOneOutAdvantage(), [1.5, -1.5, 0, 0], [-1, 1]);

    // the five rewards have mean 1.4, squares 5.2, std √(5.2/4) = 1.14017543
    [Fact]
    public void BatchNormalized_gives_the_worked_values() =>
        Equal(new BatchNormalizedAdvantage(), [.87698110, -.87698110, 0, 0], [-.43849055, .43849055]);

    // (2·3 + 4·1 + 2·2)/8 = 1.75 · (1·0 + 3·1)/4 = 0.75
    [Fact]
    public void LengthWeighted_gives_the_worked_values() => Equal(new LengthWeightedAdvantage(), [1.25, -.75, 0, .25], [-.75, .25]);

    // a: 3, 1 → z ±0.70705679 · b: 0, 0, 1 → z −0.57725030, −0.57725030, 1.15450057 · second group a: z ∓0.70700680, b: equal, 0
    // S = z_a + 2·z_b: −0.44744379, −1.86155736, 2.30900115 · −0.70700680, 0.70700680; std of the five 1.58088624
    [Fact]
    public void PerRewardNormalized_gives_the_worked_values() =>
        Equal(new PerRewardNormalizedAdvantage(), [-.28301561, -1.17746588, 0, 1.46048149], [-.44719352, .44719352]);

    // centered 1, −1, 0 · −0.5, 0.5 with 2, 4, 2 · 1, 3 tokens: N 12, mean −1/12, variance (7 − 12/144)/11 = 0.62878788
    [Fact]
    public void ReinforcePlusPlus_gives_the_worked_values() =>
        Equal(new ReinforcePlusPlusAdvantage(), [1.36618660, -1.15600405, 0, .10509128], [-.52545639, .73563894]);

    // (3 − 2)/(1 + 1e-6) · (1 − 0)/(√0.5 + 1e-6)
    [Fact]
    public void PassAtK_gives_the_worked_values() => Equal(new PassAtKAdvantage(), [.99999900, 0, 0, 0], [0, 1.41421156]);

    [Theory]
    [MemberData(nameof(AdvantageCases.Names), MemberType = typeof(AdvantageCases))]
    public void Compute_is_exactly_zero_for_fewer_than_two_scored_completions(string name)
    {
        double[][] advantages = AdvantageCases.Named(name).Compute(
            [AdvantageCases.Single(null, 5, null), AdvantageCases.Single(null, null), AdvantageCases.Single(5), AdvantageCases.Single(),
                .. AdvantageCases.Worked]);
        Assert.Equal([0, 0, 0], advantages[0]);
        Assert.Equal([0, 0], advantages[1]);
        Assert.Equal([0], advantages[2]);
        Assert.Empty(advantages[3]);
        Assert.Contains(advantages[4], advantage => advantage != 0);
    }

    [Theory]
    [MemberData(nameof(AdvantageCases.Names), MemberType = typeof(AdvantageCases))]
    public void Compute_of_no_groups_is_empty(string name) => Assert.Empty(AdvantageCases.Named(name).Compute([]));

    [Theory]
    [MemberData(nameof(AdvantageCases.Names), MemberType = typeof(AdvantageCases))]
    public void Compute_refuses_rewards_that_are_not_finite(string name)
    {
        AdvantageFunction function = AdvantageCases.Named(name);
        var nan = Assert.Throws<ArgumentException>(
            () => function.Compute([AdvantageCases.Single(1, 2), AdvantageCases.Single(1, null, double.NaN)]));
        Assert.StartsWith("Reward 2 of group 1 is NaN; rewards must be finite (null abstains).", nan.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => function.Compute([AdvantageCases.Single(double.PositiveInfinity, 1)]));
        Assert.Throws<ArgumentException>(() => function.Compute([AdvantageCases.Single(1, double.NegativeInfinity)]));
    }

    [Fact]
    public void Compute_refuses_parts_that_are_not_finite()
    {
        var group = new AdvantageGroup([1, 2], [1, 1]) { Parts = [new("format", 1, [0, double.NaN])] };
        var exception = Assert.Throws<ArgumentException>(() => new MeanCenteredAdvantage().Compute([group]));
        Assert.StartsWith("Part 'format' of reward 1 of group 0 is NaN; ", exception.Message, StringComparison.Ordinal);

        var heavy = new AdvantageGroup([1, 2], [1, 1]) { Parts = [new("format", double.PositiveInfinity, [0, 1])] };
        Assert.Throws<ArgumentException>(() => new MeanCenteredAdvantage().Compute([heavy]));
    }

    [Fact]
    public void Compute_refuses_lists_of_different_lengths()
    {
        var lengths = Assert.Throws<ArgumentException>(() => new MeanCenteredAdvantage().Compute([new AdvantageGroup([1, 2, 3], [1, 1])]));
        Assert.StartsWith("Group 0 has 3 rewards but 2 lengths; there must be one per reward.", lengths.Message, StringComparison.Ordinal);

        var group = new AdvantageGroup([1, 2], [1, 1]) { Parts = [new("format", 1, [0])] };
        var parts = Assert.Throws<ArgumentException>(() => new MeanCenteredAdvantage().Compute([group]));
        Assert.StartsWith("Group 0 has 2 rewards but 1 values of the part 'format'; ", parts.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Compute_refuses_a_negative_length()
    {
        var exception = Assert.Throws<ArgumentException>(
            () => new LengthWeightedAdvantage().Compute([new AdvantageGroup([1, 2], [4, -1])]));
        Assert.StartsWith("Length 1 of group 0 is -1 but must be 0 or more tokens.", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Compute_keeps_the_advantages_of_rewards_of_1e200_and_refuses_those_that_overflow()
    {
        double[] advantages = new GroupNormalizedAdvantage().Compute([AdvantageCases.Single(1e200, -1e200)])[0];
        Assert.Equal(Math.Sqrt(.5), advantages[0], 1e-12);
        Assert.Equal(-Math.Sqrt(.5), advantages[1], 1e-12);
        foreach (AdvantageFunction function in AdvantageCases.All)
        {
            Assert.Throws<ArgumentException>(() => function.Compute([AdvantageCases.Single(double.MaxValue, -double.MaxValue)]));
        }
    }

    [Fact]
    public void LengthWeighted_and_ReinforcePlusPlus_are_zero_when_every_completion_is_empty()
    {
        var group = new AdvantageGroup([1, 2], [0, 0]);
        Assert.Equal([0, 0], new LengthWeightedAdvantage().Compute([group])[0]);
        Assert.Equal([0, 0], new ReinforcePlusPlusAdvantage().Compute([group])[0]);
    }

    [Fact]
    public void PassAtK_is_zero_when_two_share_the_best_reward() =>
        Assert.Equal([0, 0, 0], new PassAtKAdvantage().Compute([AdvantageCases.Single(1, 0, 1)])[0]);

    [Fact]
    public void PerRewardNormalized_tells_apart_what_the_sum_does_not()
    {
        // Equal totals; two of three completions have the first part, one has the second.
        var group = new AdvantageGroup([1, 1, 1], [5, 5, 5])
        {
            Parts = [new("a", 1, [1, 1, 0]), new("b", 1, [0, 0, .75]), new("c", 1, [0, 0, .25])],
        };
        double[] advantages = new PerRewardNormalizedAdvantage().Compute([group])[0];
        Assert.True(advantages[2] > 0 && advantages[0] == advantages[1] && advantages[0] < 0);
        Assert.Equal([0, 0, 0], new GroupNormalizedAdvantage().Compute([group])[0]);
    }

    [Fact]
    public void PerRewardNormalized_refuses_rewards_without_parts()
    {
        var exception = Assert.Throws<InvalidOperationException>(
            () => new PerRewardNormalizedAdvantage().Compute([new AdvantageGroup([1, 2], [1, 1])]));
        Assert.Contains("Combine the rewards with RewardFunction.WeightedSum", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void ReinforcePlusPlus_counts_a_dead_group_but_leaves_it_at_zero()
    {
        // centered 1, −1 over 1 and 3 tokens, 0 over 2 · 2 tokens: N 8, mean −2/8, variance (4 − 8/16)/7 = 0.5
        double[][] advantages = new ReinforcePlusPlusAdvantage()
            .Compute([new AdvantageGroup([2, 0], [1, 3]), new AdvantageGroup([5, 5], [2, 2])]);
        Assert.Equal(1.25 / Math.Sqrt(.5), advantages[0][0], 1e-7); // ε = 1e-8 below the root
        Assert.Equal(-.75 / Math.Sqrt(.5), advantages[0][1], 1e-7);
        Assert.Equal([0, 0], advantages[1]);
    }

    [Fact]
    public void Validate_refuses_an_epsilon_that_is_not_positive()
    {
        Assert.Equal(["Epsilon is 0 but must be a finite number greater than 0."], new GroupNormalizedAdvantage { Epsilon = 0 }.Validate());
        Assert.Single(new BatchNormalizedAdvantage { Epsilon = -1 }.Validate());
        Assert.Single(new PerRewardNormalizedAdvantage { Epsilon = double.NaN }.Validate());
        Assert.Single(new ReinforcePlusPlusAdvantage { Epsilon = double.PositiveInfinity }.Validate());
        Assert.Single(new PassAtKAdvantage { Epsilon = 0 }.Validate());
        Assert.Empty(AdvantageCases.All.SelectMany(function => function.Validate()));
    }

    private static void Equal(AdvantageFunction function, params double[][] expected)
    {
        double[][] actual = function.Compute(AdvantageCases.Worked);
        Assert.Equal(expected.Length, actual.Length);
        foreach (var (want, have) in expected.Zip(actual))
        {
            Assert.Equal(want.Length, have.Length);
            Assert.All(want.Zip(have), pair => Assert.Equal(pair.First, pair.Second, 1e-8)); // eight decimals are written down
        }
    }
}
