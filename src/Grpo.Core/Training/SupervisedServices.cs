using Grpo.Checkpoints;

namespace Grpo.Training;

/// <summary>The parts of supervised training that may be left out.</summary>
public sealed record SupervisedServices
{
    /// <summary>
    /// Examples that are measured and never learned from: every <see cref="SupervisedOptions.EvaluateEvery"/> steps and after the last.
    /// </summary>
    public IReadOnlyList<SupervisedExample> HeldOut { get; init; } = [];

    /// <summary>Keeps checkpoints; without one nothing is written and nothing can be resumed.</summary>
    public ICheckpointStore? Checkpoints { get; init; }

    /// <summary>What the model is trained to do: written into every checkpoint. Null: nothing is written.</summary>
    public TaskDescription? Task { get; init; }

    /// <summary>The clock of <see cref="SupervisedOptions.CheckpointInterval"/>.</summary>
    internal TimeProvider Clock { get; init; } = TimeProvider.System;
}
