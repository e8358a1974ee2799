namespace Grpo.Evaluation;

/// <summary>Accuracy on the prompts of one difficulty.</summary>
public sealed record DifficultyAccuracy
{
    /// <summary>The value of <see cref="EvaluationOptions.DifficultyField"/>; empty for prompts without that field.</summary>
    public required string Difficulty { get; init; }

    /// <summary>Judged completions, one per prompt.</summary>
    public required int Count { get; init; }

    /// <summary>Fraction judged correct.</summary>
    public required double Accuracy { get; init; }

    /// <summary>Wilson's interval of <see cref="Accuracy"/>.</summary>
    public required ConfidenceInterval Interval { get; init; }

    /// <summary>Fraction correct by the lenient measure; null when the reward has none.</summary>
    public double? LenientAccuracy { get; init; }
}
