using System.Globalization;
using Grpo.Models.Qwen;
using Grpo.Rewards;
using Grpo.Scoring;
using Microsoft.Extensions.AI;
using TorchSharp;

namespace Grpo.Snippets;

/// <summary>Pays for naming the unit that the prompt's field asks for, and has no opinion where there is none.</summary>
public sealed class UnitReward : CompletionReward
{
    public override Reward Score(Prompt prompt, Completion completion)
    {
        if (!prompt.Fields.TryGetValue("unit", out string? unit))
        {
            return Reward.Abstain;
        }

        bool named = completion.Text.Contains(unit, StringComparison.OrdinalIgnoreCase);
        return new Reward(named ? 1.0 : 0.0) { Verdict = named ? "UnitNamed" : "UnitMissing", IsCorrect = named };
    }
}

/// <summary>Asks another model. The completions of a group wait together, and so do several groups.</summary>
public sealed class PolitenessJudge(IChatClient judge) : IRewardFunction, IHasIdentity
{
    public string Name => "Politeness";

    public PlugInIdentity Identity =>
        new PlugInIdentity("politeness judge").With("model", judge.GetService<ChatClientMetadata>()?.DefaultModelId);

    public async ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default) =>
        await Task.WhenAll(group.Completions.Select(completion => AskAsync(completion, cancellationToken)));

    private async Task<Reward> AskAsync(Completion completion, CancellationToken cancellationToken)
    {
        string question = $"How polite is the text below? Reply with a whole number from 0 to 10 and nothing else.\n\n{completion.Text}";
        ChatResponse response = await judge.GetResponseAsync(question, cancellationToken: cancellationToken);
        return int.TryParse(response.Text.AsSpan().Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out int points) && points <= 10
            ? points / 10.0
            : Reward.Abstain;
    }
}

/// <summary>writing-a-reward.md: making, combining and trying rewards.</summary>
public static class RewardsAtWork
{
    public static IRewardFunction Combine(IChatClient chatClient)
    {
        IRewardFunction noDigits = RewardFunction.Create("NoDigits", (prompt, completion) =>
            completion.Text.Any(char.IsAsciiDigit) ? 0.0 : 1.0);

        IRewardFunction reward = RewardFunction.WeightedSum(
            (new UnitReward(), 1.0),
            (new PolitenessJudge(chatClient), 0.5),
            (noDigits, 0.2),
            (new LengthPenaltyReward(maxTokens: 256, bufferTokens: 64), 1.0));
        return reward;
    }

    public static IRewardFunction WithRewardModel()
    {
        RewardModel model = RewardModel.Load(
            "Skywork/Skywork-Reward-V2-Qwen3-0.6B",
            new RewardModelOptions { WeightType = torch.ScalarType.BFloat16 });
        IRewardFunction reward = RewardFunction.WeightedSum((new FormatReward(), 1.0), (model, 0.2));
        return reward;
    }

    public static IRewardFunction WithIdentity(int limit)
    {
        IRewardFunction shortAnswers = RewardFunction.Create(
            "ShortAnswers", (prompt, completion) => completion.Text.Length <= limit ? 1.0 : 0.0, identity: $"limit {limit}");
        return shortAnswers;
    }

    public static GrpoOptions Patient()
    {
        var options = new GrpoOptions
        {
            Rewards = new RewardOptions
            {
                OnError = RewardErrorHandling.Abstain,
                Timeout = TimeSpan.FromSeconds(30),
                MaxConcurrency = 16,
            },
        };
        return options;
    }

    public static IRewardFunction PayByVerdict()
    {
        var reward = new Gsm8kReward(new Gsm8kRewardOptions
        {
            Values = new Dictionary<Gsm8kVerdict, double?>
            {
                [Gsm8kVerdict.Correct] = 1.0,
                [Gsm8kVerdict.OutsideTag] = 0.2,
                [Gsm8kVerdict.Truncated] = null,
            },
        });
        return reward;
    }

    public static Reward Try()
    {
        Prompt prompt = Prompt.Create("trial", "How far is it?") with { Fields = new Dictionary<string, string> { ["unit"] = "km" } };
        Reward reward = new UnitReward().Score(prompt, new Completion([1, 2, 3], "It is 5 km.", FinishReason.EndToken));
        return reward;
    }
}
