namespace Grpo.Optimization;

/// <summary>Computes the learning rate as a pure function of the step, so that a resumed run needs no saved state.</summary>
/// <remarks>
/// The values are those of Hugging Face transformers' schedules up to their last step. Later, theirs follows the cosine up again, and
/// this one stays at its floor.
/// </remarks>
internal static class LearningRate
{
    /// <summary>Computes the learning rate of an optimizer step.</summary>
    /// <param name="schedule">The shape of the curve after the warm-up.</param>
    /// <param name="peak">The learning rate at the end of the warm-up.</param>
    /// <param name="step">The number of completed optimizer steps; 0 for the first step.</param>
    /// <param name="warmupSteps">The number of warm-up steps. The first of them has learning rate 0, as in transformers.</param>
    /// <param name="totalSteps">The number of steps after which linear and cosine schedules reach their floor.</param>
    /// <param name="floor">The lowest learning rate as a fraction of <paramref name="peak"/>.</param>
    public static double At(LearningRateSchedule schedule, double peak, long step, long warmupSteps, long totalSteps, double floor = 0)
    {
        if (step < warmupSteps)
        {
            return peak * (step / (double)warmupSteps);
        }

        double progress = Math.Min(1, (step - warmupSteps) / (double)Math.Max(1, totalSteps - warmupSteps));
        double factor = schedule switch
        {
            LearningRateSchedule.Constant => 1,
            LearningRateSchedule.Linear => 1 - progress,
            LearningRateSchedule.Cosine => 0.5 * (1 + Math.Cos(Math.PI * progress)),
            _ => throw new ArgumentOutOfRangeException(nameof(schedule), schedule, "Not a learning rate schedule."),
        };
        return peak * ((factor * (1 - floor)) + floor);
    }
}

/// <summary>The shape of the learning rate curve after the warm-up.</summary>
public enum LearningRateSchedule
{
    /// <summary>The learning rate stays at its peak.</summary>
    Constant,

    /// <summary>The learning rate falls in a straight line from its peak to its floor.</summary>
    Linear,

    /// <summary>The learning rate falls along half a cosine wave from its peak to its floor.</summary>
    Cosine,
}
