namespace Grpo.Training;

/// <summary>The plan of a training run, which callbacks receive before its first step.</summary>
/// <param name="FirstStep">The number of steps done before this run: 0, or the step of the checkpoint that it resumes from.</param>
/// <param name="Steps">The step after which the run ends.</param>
/// <param name="Options">The options of the optimizer.</param>
public sealed record TrainingStart(long FirstStep, long Steps, GrpoOptions Options)
{
    /// <summary>
    /// True if the run continues an earlier one at <see cref="FirstStep"/>, which is 0 if that one wrote no checkpoint. Records of later
    /// steps belong to steps that were lost and will be repeated.
    /// </summary>
    public bool Resumes { get; init; }

    /// <summary>The folder of the checkpoint that the run resumes from. Null if there is none.</summary>
    public string? Checkpoint { get; init; }

    /// <summary>A method that writes a sentence as a warning into the log of the run.</summary>
    internal Action<string>? Warn { get; init; }
}
