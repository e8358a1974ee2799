using System.Diagnostics;
using System.Diagnostics.Metrics;

namespace Grpo.Optimization;

/// <summary>The traces and metrics that the library publishes for OpenTelemetry and dotnet-counters.</summary>
public static class GrpoDiagnostics
{
    /// <summary>The name of the activity source and of the meter.</summary>
    public const string Name = "Grpo";

    private static readonly Meter Meter = new(Name);
    private static readonly Counter<long> CompletionTokens = Meter.CreateCounter<long>(
        "grpo.completion.tokens", "{token}", "Completion tokens sampled");
    private static readonly Histogram<double> StepDuration = Meter.CreateHistogram<double>(
        "grpo.step.duration", "s", "Duration of a training step");
    private static readonly Histogram<double> MeanReward = Meter.CreateHistogram<double>(
        "grpo.reward.mean", description: "Mean reward of a step");

    /// <summary>The source of the activities grpo.rollout, grpo.score and grpo.update.</summary>
    internal static ActivitySource Source { get; } = new(Name);

    /// <summary>Records the metrics of a step.</summary>
    internal static void Record(StepReport report)
    {
        CompletionTokens.Add(report.CompletionTokens);
        StepDuration.Record((report.RolloutTime + report.ScoringTime + report.UpdateTime).TotalSeconds);
        if (!double.IsNaN(report.MeanReward))
        {
            MeanReward.Record(report.MeanReward);
        }
    }
}
