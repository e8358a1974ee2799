namespace Grpo.Optimization;

/// <summary>The learning rate as a pure function of the step: nothing to save, exact to resume.</summary>
/// <remarks>
/// Equal to transformers' schedules up to their last step; past it theirs climbs along the cosine again, ours stays at its floor.
/// </remarks>
public static class LearningRate
{
    /// <summary>The rate of an optimizer step.</summary>
    /// <param name="schedule">The course after the warm-up.</param>
    /// <param name="peak">The rate that the warm-up reaches.</param>
    /// <param name="step">Optimizer steps already done; 0 for the first.</param>
    /// <param name="warmupSteps">Steps of linear rise. The first of them has rate 0, as in transformers.</param>
    /// <param name="totalSteps">Where linear and cosine reach their floor.</param>
    /// <param name="floor">The lowest rate as a fraction of <paramref name="peak"/>.</param>
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
