using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Training;

namespace Grpo;

/// <summary>The parts of a training run that may be left out.</summary>
public sealed record TrainerServices
{
    /// <summary>Measures the policy before the first step, every <see cref="TrainerOptions.EvaluateEvery"/> steps and at the end.</summary>
    public IEvaluator? Evaluator { get; init; }

    /// <summary>Keeps checkpoints; without one nothing is written and nothing can be resumed.</summary>
    public ICheckpointStore? Checkpoints { get; init; }

    /// <summary>What the model is trained to do: written into every checkpoint. Null: nothing is written.</summary>
    public TaskDescription? Task { get; init; }

    /// <summary>Follow the run, in this order.</summary>
    public IReadOnlyList<ITrainingCallback> Callbacks { get; init; } = [];

    /// <summary>The clock of <see cref="TrainerOptions.CheckpointInterval"/>.</summary>
    internal TimeProvider Clock { get; init; } = TimeProvider.System;
}
