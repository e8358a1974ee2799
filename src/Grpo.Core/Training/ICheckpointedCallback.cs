namespace Grpo.Training;

/// <summary>Implemented by callbacks whose record of a run belongs into its checkpoints, so that a resumed run has it back.</summary>
internal interface ICheckpointedCallback
{
    /// <summary>Adds a file to a checkpoint. <see cref="TrainingStart.Checkpoint"/> names the folder when a run resumes.</summary>
    /// <param name="directory">The folder of the checkpoint that is being written.</param>
    /// <param name="summary">The session in numbers, so far.</param>
    void Save(string directory, TrainingSummary summary);

    /// <summary>
    /// Notes an event of a step that was told already, found when its evaluation was made up for. The next report tells it to all.
    /// </summary>
    /// <param name="step">The step.</param>
    /// <param name="text">A sentence.</param>
    void Note(long step, string text)
    {
        // A callback that keeps no events has nothing to do.
    }
}
