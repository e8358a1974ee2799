namespace Grpo.Training;

/// <summary>What <see cref="CurriculumMode.PassRate"/> did in a step.</summary>
public sealed record CurriculumReport
{
    /// <summary>Turns that were passed over to find the prompts of the step.</summary>
    public required int Skipped { get; init; }

    /// <summary>Prompts of the step that were due for a pause, taken because there were too few others.</summary>
    public required int Filled { get; init; }

    /// <summary>Prompts that are paused after the step because they are solved.</summary>
    public required int PausedSolved { get; init; }

    /// <summary>Prompts that are paused after the step because they are out of reach.</summary>
    public required int PausedUnsolved { get; init; }

    /// <summary>Mean pass rate of the prompts seen so far, the paused ones included; null when none was judged.</summary>
    public required double? MeanPassRate { get; init; }
}
