namespace Grpo;

/// <summary>A training run in numbers.</summary>
public sealed record TrainingSummary
{
    /// <summary>Whether the run was cancelled.</summary>
    public bool Cancelled { get; init; }
}
