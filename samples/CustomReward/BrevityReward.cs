namespace Grpo.Samples.CustomReward;

/// <summary>A reward for short completions.</summary>
public sealed class BrevityReward : CompletionReward
{
    /// <summary>1 up to 40 tokens, then 40 / length.</summary>
    public override Reward Score(Prompt prompt, Completion completion) =>
        Math.Min(1.0, 40.0 / Math.Max(1, completion.TokenIds.Count));
}
