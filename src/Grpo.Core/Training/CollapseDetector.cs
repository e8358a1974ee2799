using Grpo.Evaluation;

namespace Grpo.Training;

/// <summary>Detects a collapse of the policy by the bounds of a <see cref="CollapseGuard"/>.</summary>
internal static class CollapseDetector
{
    // One evaluation in 740 falls this far by chance.
    private const double StandardErrors = 3;

    /// <summary>Returns the reason why the policy has collapsed after a step, as a sentence; null if it has not.</summary>
    public static string? FindReason(CollapseGuard guard, TrainingProgress progress, long step)
    {
        // Only an evaluation of this step: earlier ones were already checked.
        if (guard.MaxAccuracyDrop is { } drop && progress.EvaluatedStep == step && progress is { After: { } after, Best: { } best }
            && HasFallen(best.Evaluation, after, drop))
        {
            return FormattableString.Invariant(
                $"The held-out accuracy fell from {best.Evaluation.Accuracy:0.000} at step {best.Step} to ")
                + FormattableString.Invariant($"{after.Accuracy:0.000}, on {after.Count} problems.");
        }

        if (guard.MinEntropyFraction is { } fraction && progress is { FirstEntropy: { } first }
            && progress.Entropies.Count >= guard.EntropySteps)
        {
            double mean = progress.Entropies.TakeLast(guard.EntropySteps).Average();
            if (mean < fraction * first)
            {
                return FormattableString.Invariant(
                    $"The mean entropy of the last {guard.EntropySteps} steps is {mean:0.####} nats, below {fraction:0.####} ")
                    + FormattableString.Invariant($"of the first step's {first:0.####}.");
            }
        }

        return null;
    }

    /// <summary>Returns true if an accuracy has fallen beyond the bound, and further than chance explains.</summary>
    /// <remarks>
    /// Compares two proportions with a pooled variance. Both are of the same problems, so the true error is smaller than the estimate and a
    /// collapse is rather missed than invented.
    /// </remarks>
    public static bool HasFallen(EvaluationReport best, EvaluationReport now, double maxDrop)
    {
        if (best is not { Accuracy: { } before, Count: > 0 } || now is not { Accuracy: { } after, Count: > 0 })
        {
            return false;
        }

        double pooled = ((before * best.Count) + (after * now.Count)) / ((double)best.Count + now.Count);
        double error = Math.Sqrt(pooled * (1 - pooled) * ((1.0 / best.Count) + (1.0 / now.Count)));
        return before - after > Math.Min(maxDrop, before / 2) && before - after > StandardErrors * error;
    }
}
