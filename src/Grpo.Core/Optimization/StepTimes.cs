using System.Globalization;

namespace Grpo.Optimization;

/// <summary>
/// What the steps of a <see cref="GrpoOptimizer"/> took so far, as means. The first step, which warms everything up, counts only until
/// there is a second.
/// </summary>
/// <param name="Rollout">Sampling.</param>
/// <param name="Scoring">Rewards and advantages.</param>
/// <param name="Update">Log-probs, backward passes and AdamW.</param>
/// <param name="Steps">Steps that the means are over.</param>
public sealed record StepTimes(TimeSpan Rollout, TimeSpan Scoring, TimeSpan Update, long Steps)
{
    /// <summary>A whole step; evaluation and checkpoints come on top.</summary>
    public TimeSpan Step => Rollout + Scoring + Update;

    /// <summary>
    /// What so many further steps are going to take if nothing changes. Completions usually change their length in training.
    /// </summary>
    /// <param name="steps">Steps, 0 or more.</param>
    public TimeSpan For(long steps) => Step * steps;

    /// <summary>For people.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"{Step.TotalSeconds:F2} s per step (rollout {Rollout.TotalSeconds:F2}, scoring {Scoring.TotalSeconds:F2}, update "
        + $"{Update.TotalSeconds:F2}), mean of {Steps}");

    /// <summary>Takes in a further step.</summary>
    internal static StepTimes Add(StepTimes? before, StepReport report)
    {
        var one = new StepTimes(report.RolloutTime, report.ScoringTime, report.UpdateTime, 1);
        if (before is null || before.Warming)
        {
            return one with { Warming = before is null };
        }

        long steps = before.Steps + 1;
        return new StepTimes(
            before.Rollout + ((one.Rollout - before.Rollout) / steps),
            before.Scoring + ((one.Scoring - before.Scoring) / steps),
            before.Update + ((one.Update - before.Update) / steps),
            steps);
    }

    private bool Warming { get; init; }
}
