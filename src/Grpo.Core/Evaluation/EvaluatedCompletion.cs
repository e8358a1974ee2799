namespace Grpo.Evaluation;

/// <summary>A completion and what the reward said of it.</summary>
public sealed record EvaluatedCompletion
{
    /// <summary>The text.</summary>
    public required string Text { get; init; }

    /// <summary>Length, tokens, the end token included.</summary>
    public required int Tokens { get; init; }

    /// <summary>Why it ended.</summary>
    public FinishReason FinishReason { get; init; }

    /// <summary>The reward; null when it abstained.</summary>
    public double? Reward { get; init; }

    /// <summary>See <see cref="Grpo.Reward.Verdict"/>.</summary>
    public string? Verdict { get; init; }

    /// <summary>See <see cref="Grpo.Reward.IsCorrect"/>.</summary>
    public bool? IsCorrect { get; init; }

    /// <summary>Whether it is correct by the lenient measure; null when the reward has none.</summary>
    public bool? IsCorrectLeniently { get; init; }

    /// <summary>See <see cref="Grpo.Reward.Answer"/>.</summary>
    public string? Answer { get; init; }
}
