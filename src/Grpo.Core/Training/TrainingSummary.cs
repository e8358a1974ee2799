namespace Grpo;

/// <summary>A training run in numbers.</summary>
public sealed record TrainingSummary
{
    /// <summary>Steps done in this run.</summary>
    public required long Steps { get; init; }

    /// <summary>Completion tokens sampled in this run.</summary>
    public required long CompletionTokens { get; init; }

    /// <summary>Wall time of this run, evaluations and checkpoints included.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>The evaluation before the first step; null without an evaluator.</summary>
    public EvaluationReport? Before { get; init; }

    /// <summary>The last evaluation; null without an evaluator.</summary>
    public EvaluationReport? After { get; init; }

    /// <summary>The folder of the last checkpoint; null when none was written.</summary>
    public string? Checkpoint { get; init; }

    /// <summary>Whether the run was cancelled.</summary>
    public bool Cancelled { get; init; }
}
