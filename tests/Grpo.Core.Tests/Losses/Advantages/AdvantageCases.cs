using CsCheck;
using Grpo.Losses;

namespace Grpo.Core.Tests.Losses.Advantages;

/// <summary>The functions under test and groups for them.</summary>
internal static class AdvantageCases
{
    /// <summary>Every function that the library brings.</summary>
    public static readonly AdvantageFunction[] All =
    [
        new GroupNormalizedAdvantage(), new MeanCenteredAdvantage(), new BatchNormalizedAdvantage(), new LeaveOneOutAdvantage(),
        new LengthWeightedAdvantage(), new PerRewardNormalizedAdvantage(), new ReinforcePlusPlusAdvantage(), new PassAtKAdvantage(),
    ];

    /// <summary>All of them, for theories that name what failed.</summary>
    public static TheoryData<string> Names => [.. All.Select(function => function.Name)];

    /// <summary>
    /// Two groups worked by hand: rewards 3, 1, none, 2 and 0, 1; lengths 2, 4, 9, 2 and 1, 3; parts a (weight 1) and b (weight 2).
    /// </summary>
    public static AdvantageGroup[] Worked =>
    [
        new([3, 1, null, 2], [2, 4, 9, 2]) { Parts = [new("a", 1, [3, 1, null, null]), new("b", 2, [0, 0, null, 1])] },
        new([0, 1], [1, 3]) { Parts = [new("a", 1, [0, 1]), new("b", 2, [0, 0])] },
    ];

    /// <summary>Multiples of 1/8 between −10 and 10, so that sums are exact; 2 to 16 completions; the reward is a + b / 2.</summary>
    public static Gen<AdvantageGroup> Group { get; } =
        Gen.Select(Gen.Int[-80, 80], Gen.Int[-8, 8], Gen.Int[1, 50]).Array[2, 16].Select(rows => Parts(
            [.. rows.Select(row => row.Item1 / 8.0)], [.. rows.Select(row => row.Item2 / 4.0)], [.. rows.Select(row => row.Item3)]));

    /// <summary>1 to 6 groups.</summary>
    public static Gen<AdvantageGroup[]> Groups { get; } = Group.Array[1, 6];

    public static AdvantageFunction Named(string name) => All.Single(function => function.Name == name);

    /// <summary>A group with one part, which is the reward, and completions of one length.</summary>
    public static AdvantageGroup Single(params double?[] rewards) =>
        new(rewards, [.. rewards.Select(_ => 3)]) { Parts = [new("only", 1, rewards)] };

    /// <summary>A copy with the rewards, and with them the first part, changed.</summary>
    public static AdvantageGroup Map(this AdvantageGroup group, Func<double, double> change, bool allParts = false) => group with
    {
        Rewards = Apply(group.Rewards, change),
        Parts = [.. group.Parts.Select((part, i) => i == 0 || allParts ? part with { Values = Apply(part.Values, change) } : part)],
    };

    /// <summary>A copy made of these completions, in this order.</summary>
    public static AdvantageGroup Pick(this AdvantageGroup group, IReadOnlyList<int> positions) => new(
        [.. positions.Select(i => group.Rewards[i])], [.. positions.Select(i => group.Lengths[i])])
    {
        Parts = [.. group.Parts.Select(part => part with { Values = [.. positions.Select(i => part.Values[i])] })],
    };

    private static double?[] Apply(IReadOnlyList<double?> values, Func<double, double> change) =>
        [.. values.Select(value => value is { } given ? change(given) : (double?)null)];

    private static AdvantageGroup Parts(double[] a, double[] b, int[] lengths) => new(
        [.. a.Zip(b, (x, y) => (double?)(x + (y / 2)))], lengths)
    {
        Parts = [new("a", 1, [.. a.Select(x => (double?)x)]), new("b", .5, [.. b.Select(y => (double?)y)])],
    };
}
