using Grpo.Optimization;

namespace Grpo.Callbacks;

/// <summary>An optimizer step in a record: the numbers that <see cref="UpdateReport"/> gave, those of the same name being the same.</summary>
public sealed record FlightUpdate
{
    /// <summary>See <see cref="UpdateReport.Loss"/>.</summary>
    public required double Loss { get; init; }

    /// <summary>See <see cref="UpdateReport.Kl"/>.</summary>
    public double? Kl { get; init; }

    /// <summary>See <see cref="UpdateReport.KlCoefficient"/>.</summary>
    public double? KlCoefficient { get; init; }

    /// <summary>See <see cref="UpdateReport.GradientNorm"/>.</summary>
    public required double GradientNorm { get; init; }

    /// <summary>See <see cref="UpdateReport.LearningRate"/>.</summary>
    public required double LearningRate { get; init; }

    /// <summary>See <see cref="UpdateReport.SkipReason"/>.</summary>
    public string? SkipReason { get; init; }

    /// <summary>The entropy from which tokens were trained on, nats; null when all were (<see cref="GrpoOptions.TopEntropyFraction"/>).</summary>
    public double? EntropyThreshold { get; init; }
}
