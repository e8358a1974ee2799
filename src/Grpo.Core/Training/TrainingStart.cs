namespace Grpo.Training;

/// <summary>What a training run is about to do.</summary>
/// <param name="FirstStep">Steps done before this run (0, or where a checkpoint left off).</param>
/// <param name="Steps">The step after which the run ends.</param>
/// <param name="Options">The optimizer's options.</param>
public sealed record TrainingStart(long FirstStep, long Steps, GrpoOptions Options)
{
    /// <summary>
    /// Whether the run goes on where an earlier one left off, at <see cref="FirstStep"/>, which is 0 if that one wrote no checkpoint. What
    /// is on record of later steps is of steps that were lost with it, and comes again.
    /// </summary>
    public bool Resumes { get; init; }

    /// <summary>The folder of the checkpoint that the run goes on from; null where it goes on from none.</summary>
    public string? Checkpoint { get; init; }

    /// <summary>Hears a sentence that belongs into the log of the run.</summary>
    internal Action<string>? Warn { get; init; }
}
