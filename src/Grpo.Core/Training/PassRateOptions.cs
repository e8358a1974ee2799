namespace Grpo.Training;

/// <summary>The curriculum of a training run: how the prompts of each step are chosen.</summary>
public enum CurriculumMode
{
    /// <summary>No curriculum. Every prompt is used once per epoch.</summary>
    None,

    /// <summary>
    /// A prompt that was always or never solved in its last groups is skipped for some epochs, as set in <see cref="PassRateOptions"/>.
    /// </summary>
    PassRate,
}

/// <summary>The options of <see cref="CurriculumMode.PassRate"/>: when a prompt is skipped, and for how long.</summary>
/// <remarks>
/// <para>
/// A group's pass rate is the fraction of its completions that are correct by <see cref="Reward.IsCorrect"/>. Abstentions and completions
/// that are not judged do not count, so a reward that never judges skips nothing. The pass rate of a prompt is the mean over its last
/// <see cref="PassRateWindow"/> groups.
/// </para>
/// <para>
/// A prompt has one turn per epoch. When its pass rate reaches a bound, it is skipped for one turn. If it is still at the bound after
/// that, it is skipped for 2, 4, 8 … turns. It keeps coming back, because a prompt that is out of reach early may be solved later, and a
/// solved one may be forgotten. One group between the bounds resets the pause.
/// </para>
/// <para>
/// If the whole data set has too few other prompts for a step, the skipped ones that were sampled longest ago fill it. A data set that is
/// no larger than a step is always used as a whole.
/// </para>
/// </remarks>
public sealed record PassRateOptions : IReflectedOptions
{
    /// <summary>The number of groups that a prompt's pass rate is averaged over. A prompt with fewer groups is never skipped.</summary>
    /// <value>
    /// 1 to 64; default 2. At a true pass rate of 0.2, one group of 8 without a correct answer has a probability of 17 %, two have 3 %.
    /// </value>
    public int PassRateWindow { get; set; } = 2;

    /// <summary>The pass rate from which a prompt counts as solved.</summary>
    /// <value>
    /// Above <see cref="UnsolvedAt"/>; default 1 (only correct answers). A value above 1 never skips solved prompts.
    /// </value>
    public double SolvedAt { get; set; } = 1;

    /// <summary>The pass rate up to which a prompt counts as out of reach.</summary>
    /// <value>
    /// Below <see cref="SolvedAt"/>; default 0 (no correct answer at all). A value below 0 never skips unsolved prompts.
    /// </value>
    public double UnsolvedAt { get; set; }

    /// <summary>The largest number of turns in a row for which a prompt is skipped.</summary>
    /// <value>1 to 1024; default 8.</value>
    public int LongestPause { get; set; } = 8;

    internal IEnumerable<string> Validate()
    {
        if (PassRateWindow is < 1 or > 64)
        {
            yield return $"PassRateWindow is {PassRateWindow} but must be 1 to 64.";
        }

        if (!(UnsolvedAt < SolvedAt) || !double.IsFinite(SolvedAt) || !double.IsFinite(UnsolvedAt))
        {
            yield return FormattableString.Invariant(
                $"UnsolvedAt is {UnsolvedAt} and SolvedAt {SolvedAt}; both must be finite, and the first below the second.");
        }

        if (LongestPause is < 1 or > 1024)
        {
            yield return $"LongestPause is {LongestPause} but must be 1 to 1024.";
        }
    }
}
