using Grpo.Losses;

namespace Grpo.Core.Tests.Losses.Advantages;

public sealed class AdvantageGroupTests
{
    private static readonly RolloutGroup Rollouts = new(
        new Prompt { Id = "sum", Messages = [new(Microsoft.Extensions.AI.ChatRole.User, "1 + 1?")] },
        [1],
        [new([5, 6], "2", FinishReason.EndToken), new([7], "3", FinishReason.EndToken), new([], "", FinishReason.EndToken)]);

    [Fact]
    public async Task From_takes_the_parts_of_a_weighted_sum()
    {
        IRewardFunction sum = RewardFunction.WeightedSum(
            (RewardFunction.Create(
                "right", (_, completion) => new Reward(completion.Text == "2" ? 1 : 0) { IsCorrect = completion.Text == "2" }), 1),
            (RewardFunction.Create(
                "short", (_, completion) => completion.TokenIds.Count == 0 ? Reward.Abstain : 1.0 / completion.TokenIds.Count), .5));
        IReadOnlyList<Reward> rewards = await sum.ScoreAsync(Rollouts);

        AdvantageGroup group = AdvantageGroup.From(Rollouts, rewards, new Dictionary<string, double> { ["right"] = 1, ["short"] = .5 });

        Assert.Equal([1.25, .5, 0], group.Rewards);
        Assert.Equal([2, 1, 0], group.Lengths);
        Assert.Equal([true, false, false], group.Correct);
        Assert.Equal(["right", "short"], group.Parts.Select(part => part.Name));
        Assert.Equal([1, .5], group.Parts.Select(part => part.Weight));
        Assert.Equal([1, 0, 0], group.Parts[0].Values);
        Assert.Equal([.5, 1, null], group.Parts[1].Values);
    }

    [Fact]
    public void From_has_no_parts_without_weights() =>
        Assert.Empty(AdvantageGroup.From(Rollouts, [1, Reward.Abstain, 0]).Parts);

    [Fact]
    public void From_needs_no_components_of_an_abstention()
    {
        var components = new Dictionary<string, double?> { ["right"] = 1 };
        AdvantageGroup group = AdvantageGroup.From(
            Rollouts, [new(1) { Components = components }, Reward.Abstain, new(1) { Components = components }],
            new Dictionary<string, double> { ["right"] = 1 });
        Assert.Equal([1, null, 1], group.Parts[0].Values);
    }

    [Fact]
    public void From_refuses_a_weight_without_a_component()
    {
        var components = new Dictionary<string, double?> { ["right"] = 1, ["short"] = null };
        var exception = Assert.Throws<ArgumentException>(() => AdvantageGroup.From(
            Rollouts, [Reward.Abstain, new(1) { Components = components }, Reward.Abstain],
            new Dictionary<string, double> { ["rigth"] = 1 }));
        Assert.StartsWith(
            "Reward 1 of the group has no component 'rigth', which has a weight; its components are [right, short].", exception.Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public void From_refuses_another_number_of_rewards()
    {
        var exception = Assert.Throws<ArgumentException>(() => AdvantageGroup.From(Rollouts, [1, 2]));
        Assert.StartsWith("There are 2 rewards for 3 completions; there must be one each.", exception.Message, StringComparison.Ordinal);
    }
}
