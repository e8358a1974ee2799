namespace Grpo.Training;

/// <summary>How the prompts of a step are chosen.</summary>
public enum CurriculumMode
{
    /// <summary>Every prompt has its turn once an epoch.</summary>
    None,

    /// <summary>
    /// A prompt that was always or never solved of late is passed over for some of its turns; see <see cref="PassRateOptions"/>.
    /// </summary>
    PassRate,
}
