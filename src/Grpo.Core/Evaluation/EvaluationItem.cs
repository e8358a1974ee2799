namespace Grpo.Evaluation;

/// <summary>One prompt of an evaluation.</summary>
public sealed record EvaluationItem
{
    /// <summary>The prompt's id.</summary>
    public required string Id { get; init; }

    /// <summary>The prompt's last message; with the id it says whether two evaluations are about the same items.</summary>
    public required string Question { get; init; }

    /// <summary>The expected answer; null when the prompt has none.</summary>
    public string? Expected { get; init; }

    /// <summary>The value of <see cref="EvaluationOptions.DifficultyField"/>; null when the prompt has no such field.</summary>
    public string? Difficulty { get; init; }

    /// <summary>The completion that accuracy is measured on.</summary>
    public required EvaluatedCompletion Completion { get; init; }

    /// <summary>The completions that pass@k and maj@k are measured on; empty when there are none.</summary>
    public IReadOnlyList<EvaluatedCompletion> Samples { get; init; } = [];
}
