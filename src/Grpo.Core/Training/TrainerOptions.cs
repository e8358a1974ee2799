using Grpo.Training;

namespace Grpo;

/// <summary>The options of a <see cref="GrpoTrainer"/>.</summary>
public sealed record TrainerOptions : IReflectedOptions
{
    /// <summary>The step after which training ends, counted from the very first step. A resumed run performs the remaining ones.</summary>
    /// <value>1 or more; default 100.</value>
    public long Steps { get; set; } = 100;

    /// <summary>The number of steps between two evaluations. Evaluations also precede the first step and follow the last one.</summary>
    /// <value>0 (only before the first and after the last step) or more; default 0.</value>
    public long EvaluateEvery { get; set; }

    /// <summary>
    /// The number of steps between two checkpoints. A checkpoint is also written after the last step, and after the last whole step of a
    /// run that is stopped or fails.
    /// </summary>
    /// <value>0 (no checkpoints by steps) or more; default 50.</value>
    public long CheckpointEvery { get; set; } = 50;

    /// <summary>
    /// The longest time between two checkpoints, checked after each step. A checkpoint is due by this time or by
    /// <see cref="CheckpointEvery"/>, whichever comes first. No number of the run depends on it.
    /// </summary>
    /// <value>0 (no checkpoints by time) or more; default 10 minutes.</value>
    public TimeSpan CheckpointInterval { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// True to continue from the newest checkpoint of the store if there is one. Load the model that the run began with: it, the tokenizer,
    /// chat template, reward, reference and data set must be those of the run that wrote the checkpoint (<see cref="IHasIdentity"/>).
    /// </summary>
    /// <remarks>
    /// Only options that no number of the run depends on may differ: <see cref="Steps"/>, <see cref="CheckpointEvery"/>,
    /// <see cref="CheckpointInterval"/> and the reaction to failures. Without roll-backs, <see cref="EvaluateEvery"/>,
    /// <see cref="KeepBest"/>, <see cref="Guard"/> and the evaluator may differ too.
    /// </remarks>
    /// <value>Default false.</value>
    public bool Resume { get; set; }

    /// <summary>
    /// True to resume although options or parts of the run differ from those of the checkpoint and change its numbers. A warning in the log
    /// then lists every difference. False refuses such a run with an exception that lists them. A different seed is always refused.
    /// </summary>
    /// <value>Default false.</value>
    public bool AllowOptionChanges { get; set; }

    /// <summary>The reaction to a checkpoint that cannot be written, for example because the disk is full.</summary>
    /// <value>Default <see cref="CheckpointFailureAction.Stop"/>.</value>
    public CheckpointFailureAction OnCheckpointFailure { get; set; } = CheckpointFailureAction.Stop;

    /// <summary>
    /// True to write a checkpoint after each evaluation that is the best so far, and to keep the best one when
    /// older checkpoints are deleted.
    /// </summary>
    /// <value>Default true. It has no effect without an evaluator or a checkpoint store.</value>
    public bool KeepBest { get; set; } = true;

    /// <summary>The curriculum, which may skip prompts that are always or never solved.</summary>
    /// <value>Default <see cref="CurriculumMode.None"/>.</value>
    public CurriculumMode Curriculum { get; set; }

    /// <summary>The options of <see cref="CurriculumMode.PassRate"/>. They have no effect on other curricula.</summary>
    public PassRateOptions PassRates { get; set; } = new();

    /// <summary>The conditions under which the policy has collapsed, and the reaction.</summary>
    public CollapseGuard Guard { get; set; } = new();

    internal TrainerOptions Copy() => this with { PassRates = PassRates with { }, Guard = Guard with { } };

    internal IEnumerable<string> Validate()
    {
        if (Steps < 1)
        {
            yield return $"Steps is {Steps} but must be 1 or more.";
        }

        if (EvaluateEvery < 0)
        {
            yield return $"EvaluateEvery is {EvaluateEvery} but must be 0 or more.";
        }

        if (CheckpointEvery < 0)
        {
            yield return $"CheckpointEvery is {CheckpointEvery} but must be 0 or more.";
        }

        if (CheckpointInterval < TimeSpan.Zero)
        {
            yield return $"CheckpointInterval is {CheckpointInterval:c} but must be 0 or more.";
        }

        if (!Enum.IsDefined(OnCheckpointFailure))
        {
            yield return $"OnCheckpointFailure is {OnCheckpointFailure} but must be "
                + $"{string.Join(", ", Enum.GetNames<CheckpointFailureAction>())}.";
        }

        if (!Enum.IsDefined(Curriculum))
        {
            yield return $"Curriculum is {Curriculum} but must be {string.Join(", ", Enum.GetNames<CurriculumMode>())}.";
        }

        foreach (string problem in PassRates.Validate().Concat(Guard.Validate()))
        {
            yield return problem;
        }
    }
}
