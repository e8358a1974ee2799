using Grpo.Training;

namespace Grpo;

/// <summary>Options of a <see cref="GrpoTrainer"/>.</summary>
public sealed record TrainerOptions : IReflectedOptions
{
    /// <summary>The step after which training ends, counted from the very first: a resumed run does the rest.</summary>
    /// <value>1 or more; default 100.</value>
    public long Steps { get; set; } = 100;

    /// <summary>
    /// Evaluate after every so many steps. The first step is preceded, and the last one followed, by an evaluation in any case.
    /// </summary>
    /// <value>0 (only then) or more; default 0.</value>
    public long EvaluateEvery { get; set; }

    /// <summary>
    /// The number of steps between two checkpoints. A checkpoint also follows the last step, and the last whole step of a run that ends in
    /// another way.
    /// </summary>
    /// <value>0 (not by steps) or more; default 50.</value>
    public long CheckpointEvery { get; set; } = 50;

    /// <summary>
    /// The longest time between two checkpoints, looked at after each step. With <see cref="CheckpointEvery"/>, whichever comes first. No
    /// number of the run depends on it.
    /// </summary>
    /// <value>0 (not by time) or more; default 10 minutes.</value>
    public TimeSpan CheckpointInterval { get; set; } = TimeSpan.FromMinutes(10);

    /// <summary>
    /// Continue from the newest checkpoint of the store when there is one. The run must be the one that wrote it: with the same model as
    /// before training, tokenizer, chat template, reward, reference and data set (<see cref="IHasIdentity"/>). Of the options only those
    /// may differ that no number of the run depends on: <see cref="Steps"/>, <see cref="CheckpointEvery"/>,
    /// <see cref="CheckpointInterval"/>, <see cref="EvaluateEvery"/>, <see cref="KeepBest"/>, <see cref="Guard"/> (the last three, and the
    /// evaluator, only while nothing is rolled back), and how failures are treated.
    /// </summary>
    /// <value>Default false.</value>
    public bool Resume { get; set; }

    /// <summary>
    /// Resume although an option or a part of the run that changes its numbers differs from the checkpoint's: the run goes on from its
    /// weights, and a warning in the log has every difference. Otherwise the run is refused, and every difference named with both values.
    /// Another seed is refused in any case.
    /// </summary>
    /// <value>Default false.</value>
    public bool AllowOptionChanges { get; set; }

    /// <summary>What happens when a checkpoint cannot be written: the disk is full, the folder read-only or gone.</summary>
    /// <value>Default <see cref="CheckpointFailureAction.Stop"/>.</value>
    public CheckpointFailureAction OnCheckpointFailure { get; set; } = CheckpointFailureAction.Stop;

    /// <summary>
    /// Write a checkpoint after each evaluation that is better than all before, and keep the best one however many follow.
    /// </summary>
    /// <value>Default true; without an evaluator or a checkpoint store it does nothing.</value>
    public bool KeepBest { get; set; } = true;

    /// <summary>Passes over prompts that teach nothing.</summary>
    /// <value>Default <see cref="CurriculumMode.None"/>.</value>
    public CurriculumMode Curriculum { get; set; }

    /// <summary>The numbers of <see cref="CurriculumMode.PassRate"/>; without effect otherwise.</summary>
    public PassRateOptions PassRates { get; set; } = new();

    /// <summary>When the policy counts as collapsed, and what happens then.</summary>
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
