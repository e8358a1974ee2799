using Grpo.Losses;

namespace Grpo.Core.Tests.Losses.Advantages;

/// <summary>Functions that somebody else writes.</summary>
public sealed class UserAdvantageTests
{
    private sealed record BestOfGroup : GroupAdvantageFunction
    {
        public override string Name => "best of the group";

        protected override IEnumerable<double> Estimate(GroupScores group) =>
            group.Rewards.Select(reward => reward - group.Moments.Maximum);
    }

    private sealed record BrokenAdvantage(Func<IReadOnlyList<GroupScores>, IEnumerable<IEnumerable<double>>> Formula) : AdvantageFunction
    {
        public override string Name => "broken";

        public override bool CanLearnFrom(GroupScores group) => true;

        protected override IEnumerable<IEnumerable<double>> Estimate(IReadOnlyList<GroupScores> groups) => Formula(groups);
    }

    [Fact]
    public void A_function_of_five_lines_has_all_the_guards()
    {
        double[][] advantages = new BestOfGroup().Compute(
            [AdvantageCases.Single(3, null, 1, 2), AdvantageCases.Single(5, 5), AdvantageCases.Single(7, null)]);
        Assert.Equal([0, 0, -2, -1], advantages[0]);
        Assert.Equal([0, 0], advantages[1]);
        Assert.Equal([0, 0], advantages[2]);
    }

    [Theory]
    [InlineData(double.NaN, "NaN")]
    [InlineData(double.NegativeInfinity, "-Infinity")]
    [InlineData(1e39, "1E+39")] // infinite in float32, in which losses are computed
    public void A_function_that_gives_what_is_not_finite_is_named(double value, string shown)
    {
        var broken = new BrokenAdvantage(groups => groups.Select(group => group.Rewards.Select(_ => value)));
        var exception = Assert.Throws<InvalidOperationException>(() => broken.Compute([AdvantageCases.Single(null, 1, 2)]));
        Assert.StartsWith(
            $"The advantage function 'broken' gave {shown} for completion 1 of group 0, whose reward is 1; advantages must be finite.",
            exception.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void A_function_cannot_learn_from_a_single_score()
    {
        var broken = new BrokenAdvantage(groups => groups.Select(group => group.Rewards.Select(_ => 1.0)));
        Assert.Equal([0, 0], broken.Compute([AdvantageCases.Single(null, 1)])[0]);
        Assert.Equal([1, 1], broken.Compute([AdvantageCases.Single(1, 1)])[0]); // its own say: equal rewards teach it something
    }

    [Fact]
    public void A_function_that_gives_the_wrong_number_is_named()
    {
        var rows = Assert.Throws<InvalidOperationException>(() => new BrokenAdvantage(_ => []).Compute([AdvantageCases.Single(1, 2)]));
        Assert.StartsWith(
            "The advantage function 'broken' gave advantages for 0 groups but was given 1;", rows.Message, StringComparison.Ordinal);

        var entries = Assert.Throws<InvalidOperationException>(
            () => new BrokenAdvantage(_ => [[1.0]]).Compute([AdvantageCases.Single(1, 2, null)]));
        Assert.StartsWith(
            "The advantage function 'broken' gave 1 advantages for the 2 scored completions of group 0;", entries.Message,
            StringComparison.Ordinal);
    }
}
