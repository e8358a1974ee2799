namespace Grpo.Samples.CustomReward;

/// <summary>A reward for short completions.</summary>
public sealed class BrevityReward : CompletionReward
{
    /// <summary>Returns 1 for at most 40 tokens, otherwise 40 / length.</summary>
    public override Reward Score(Prompt prompt, Completion completion) =>
        Math.Min(1.0, 40.0 / Math.Max(1, completion.TokenIds.Count));
}
