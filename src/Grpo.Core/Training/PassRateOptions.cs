namespace Grpo.Training;

/// <summary>When <see cref="CurriculumMode.PassRate"/> passes a prompt over, and for how long.</summary>
/// <remarks>
/// <para>
/// The pass rate of a prompt is the mean over its last <see cref="PassRateWindow"/> groups of the fraction that is correct, by
/// <see cref="Reward.IsCorrect"/> and whatever else the reward says; abstentions and completions that are not judged do not count, so
/// that a reward which never judges switches nothing off. A prompt has a turn an epoch. When its pass rate is at a bound it is passed
/// over for one turn; looked at again and still at the bound, for 2, 4, 8 … turns, since what is out of reach early may be solved later,
/// and what was solved may be forgotten. One group between the bounds, and it counts as new.
/// </para>
/// <para>
/// When the whole data set has too few others to fill a step, those that were sampled longest ago fill it. A data set no larger than a
/// step is always used whole.
/// </para>
/// </remarks>
public sealed record PassRateOptions : IReflectedOptions
{
    /// <summary>Groups that the pass rate is the mean of; with fewer seen, a prompt is never passed over.</summary>
    /// <value>1 to 64; default 2: one group of 8 without a right answer is no rarity at a pass rate of 0.2 (17 %), two are (3 %).</value>
    public int PassRateWindow { get; set; } = 2;

    /// <summary>The pass rate from which on a prompt counts as solved.</summary>
    /// <value>
    /// Above <see cref="UnsolvedAt"/>, up to 1 (nothing but right answers); default 1. Above 1: solved prompts are not passed over.
    /// </value>
    public double SolvedAt { get; set; } = 1;

    /// <summary>The pass rate up to which a prompt counts as out of reach.</summary>
    /// <value>
    /// From 0 (no right answer at all), below <see cref="SolvedAt"/>; default 0. Below 0: unsolved prompts are not passed over.
    /// </value>
    public double UnsolvedAt { get; set; }

    /// <summary>The most turns in a row that a prompt is passed over.</summary>
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
