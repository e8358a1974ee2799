using Grpo.Checkpoints;

namespace Grpo.Training;

/// <summary>The optional services of a <see cref="SupervisedTrainer"/>.</summary>
public sealed record SupervisedServices
{
    /// <summary>The store that writes and finds checkpoints. Null writes none, and no run can be resumed.</summary>
    public ICheckpointStore? Checkpoints { get; init; }

    /// <summary>The description of the trained task, which is written into every checkpoint. Null writes none.</summary>
    public TaskDescription? Task { get; init; }

    /// <summary>The clock of <see cref="SupervisedOptions.CheckpointInterval"/>.</summary>
    internal TimeProvider Clock { get; init; } = TimeProvider.System;
}
