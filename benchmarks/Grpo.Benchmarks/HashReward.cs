namespace Grpo.Benchmarks;

/// <summary>A reward that takes almost no time and differs within a group.</summary>
internal sealed class HashReward : CompletionReward
{
    public override Reward Score(Prompt prompt, Completion completion) => completion.TokenIds.Sum(id => id % 7) % 2;
}
