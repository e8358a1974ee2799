using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Training;

namespace Grpo;

/// <summary>The optional services of a <see cref="GrpoTrainer"/>.</summary>
public sealed record TrainerServices
{
    /// <summary>
    /// The evaluator of the policy. It runs before the first step, every <see cref="TrainerOptions.EvaluateEvery"/> steps and after the
    /// last step. Null never evaluates.
    /// </summary>
    public IEvaluator? Evaluator { get; init; }

    /// <summary>The store that writes and finds checkpoints. Null writes none, and no run can be resumed.</summary>
    public ICheckpointStore? Checkpoints { get; init; }

    /// <summary>The description of the trained task, which is written into every checkpoint. Null writes none.</summary>
    public TaskDescription? Task { get; init; }

    /// <summary>The callbacks that follow the run. They are called in this order.</summary>
    public IReadOnlyList<ITrainingCallback> Callbacks { get; init; } = [];

    /// <summary>The clock of <see cref="TrainerOptions.CheckpointInterval"/>.</summary>
    internal TimeProvider Clock { get; init; } = TimeProvider.System;
}
