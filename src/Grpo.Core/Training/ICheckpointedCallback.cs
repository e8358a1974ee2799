namespace Grpo.Training;

/// <summary>Implemented by callbacks that store their record of a run in its checkpoints, so that a resumed run can restore it.</summary>
internal interface ICheckpointedCallback
{
    /// <summary>Adds a file to a checkpoint. When a run resumes, <see cref="TrainingStart.Checkpoint"/> names the folder.</summary>
    /// <param name="directory">The folder of the checkpoint that is being written.</param>
    /// <param name="summary">The results of the run so far.</param>
    void Save(string directory, TrainingSummary summary);

    /// <summary>
    /// Records an event of a step that was already reported. A pending evaluation found it, and the next report tells it to all callbacks.
    /// </summary>
    /// <param name="step">The step.</param>
    /// <param name="text">The event as a sentence.</param>
    void Note(long step, string text)
    {
        // A callback that keeps no events has nothing to do.
    }
}
