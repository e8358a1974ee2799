using Grpo.Losses;

namespace Grpo.Core.Tests.Losses.Advantages;

public sealed class GroupFilterTests
{
    private static readonly AdvantageGroup[] Groups =
    [
        Judged([1, 0], [true, false]),          // 0 kept
        Judged([1, 1], [true, true]),           // 1 all right
        Judged([0, 0], [false, false]),         // 2 all wrong
        Judged([1, null, 1], [true, null, true]), // 3 all right: the abstention says nothing
        Judged([1, 1], [true, false]),          // 4 judged both ways at equal rewards
        Judged([0, 0], [null, null]),           // 5 not judged
        AdvantageCases.Single(null, null),      // 6 no score
        AdvantageCases.Single(.5, .25, .75),    // 7 kept
    ];

    [Fact]
    public void Of_sorts_and_counts()
    {
        GroupFilter filter = GroupFilter.Create(new GroupNormalizedAdvantage(), Groups);
        Assert.Equal([0, 7], filter.Kept);
        Assert.Equal([1, 2, 3, 4, 5, 6], filter.Dead);
        Assert.Equal(2, filter.AllRight);
        Assert.Equal(1, filter.AllWrong);
        Assert.Equal(3, filter.OtherDead);
        Assert.Equal(.75, filter.DeadFraction);
    }

    [Fact]
    public void Of_finds_dead_exactly_the_groups_whose_advantages_are_all_zero()
    {
        foreach (AdvantageFunction function in AdvantageCases.All)
        {
            AdvantageGroup[] groups = [.. Groups, .. AdvantageCases.Worked, AdvantageCases.Single(1, 1, 0)];
            int[] zero = [.. function.Compute(groups).Index().Where(group => group.Item.All(advantage => advantage == 0))
                .Select(group => group.Index)];
            Assert.Equal(zero, GroupFilter.Create(function, groups).Dead);
        }
    }

    [Fact]
    public void Of_keeps_equal_totals_when_the_method_looks_at_the_parts()
    {
        AdvantageGroup group = new([1, 1, 1], [1, 1, 1]) { Parts = [new("a", 1, [1, 1, 0]), new("b", 2, [0, 0, .5])] };
        Assert.Equal([0], GroupFilter.Create(new PerRewardNormalizedAdvantage(), [group]).Kept);
        Assert.Equal([0], GroupFilter.Create(new GroupNormalizedAdvantage(), [group]).Dead);
    }

    [Fact]
    public void Of_nothing_is_nothing()
    {
        GroupFilter filter = GroupFilter.Create(new GroupNormalizedAdvantage(), []);
        Assert.Empty(filter.Kept);
        Assert.Empty(filter.Dead);
        Assert.Equal(0, filter.DeadFraction);
    }

    [Fact]
    public void Of_refuses_judgments_of_another_number()
    {
        var exception = Assert.Throws<ArgumentException>(
            () => GroupFilter.Create(new GroupNormalizedAdvantage(), [Judged([1, 2], [true])]));
        Assert.StartsWith("Group 0 has 2 rewards but 1 judgments of correctness;", exception.Message, StringComparison.Ordinal);
    }

    private static AdvantageGroup Judged(double?[] rewards, bool?[] correct) => AdvantageCases.Single(rewards) with { Correct = correct };
}
