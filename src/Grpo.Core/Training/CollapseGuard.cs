namespace Grpo.Training;

/// <summary>The conditions under which a trainer considers the policy collapsed, and its reaction.</summary>
/// <remarks>
/// <para>
/// Accuracy: the policy has collapsed if the held-out accuracy is below the best one by more than <see cref="MaxAccuracyDrop"/>, or by more
/// than half of the best one if that is less. The difference must also exceed three standard errors of two proportions: a fall from 0.60 to
/// 0.40 may be chance on 64 problems, but not on 512. The accuracy is checked after each evaluation.
/// </para>
/// <para>
/// Entropy: a policy that has learned a task with one answer ends near entropy 0 and is healthy, so this check is off unless set. It is
/// relative to the first step of the run and is done after each step.
/// </para>
/// <para>
/// Divergence: with <see cref="CollapseAction.RollBack"/> a <see cref="TrainingDivergedException"/> counts as a collapse. Otherwise it is
/// thrown to the caller.
/// </para>
/// <para>
/// A roll-back restores the weights, the optimizer's moments, the KL coefficient, the position in the learning-rate schedule and the pass
/// rates of the best checkpoint. The step number and the order of prompts continue, so that neither prompts nor random numbers repeat; the
/// steps in between are lost. If the best checkpoint is the collapsed policy itself, the run stops instead.
/// </para>
/// </remarks>
public sealed record CollapseGuard : IReflectedOptions
{
    /// <summary>The reaction to a collapse.</summary>
    /// <value>
    /// Default <see cref="CollapseAction.Stop"/>. <see cref="CollapseAction.RollBack"/> needs an evaluator and a checkpoint store.
    /// </value>
    public CollapseAction OnCollapse { get; set; } = CollapseAction.Stop;

    /// <summary>The largest loss of held-out accuracy, compared with the best evaluation, that is no collapse.</summary>
    /// <value>Above 0, up to 1; default 0.2. Null turns the check of the accuracy off.</value>
    public double? MaxAccuracyDrop { get; set; } = 0.2;

    /// <summary>
    /// The fraction of the first step's mean entropy that the mean over the last <see cref="EntropySteps"/> steps must not fall below.
    /// </summary>
    /// <value>Above 0, below 1; default null, which turns the check of the entropy off.</value>
    public double? MinEntropyFraction { get; set; }

    /// <summary>The number of steps that the entropy is averaged over. It is not checked before that many steps are done.</summary>
    /// <value>1 to 1000; default 10.</value>
    public int EntropySteps { get; set; } = 10;

    /// <summary>The largest number of roll-backs in a run, including those before a resume. The next collapse stops the run.</summary>
    /// <value>1 to 100; default 2.</value>
    public int MaxRollBacks { get; set; } = 2;

    internal IEnumerable<string> Validate()
    {
        if (!Enum.IsDefined(OnCollapse))
        {
            yield return $"OnCollapse is {OnCollapse} but must be {string.Join(", ", Enum.GetNames<CollapseAction>())}.";
        }

        if (MaxAccuracyDrop is { } drop && !(drop is > 0 and <= 1))
        {
            yield return FormattableString.Invariant($"MaxAccuracyDrop is {drop} but must be above 0, at most 1, or null for no bound.");
        }

        if (MinEntropyFraction is { } fraction && !(fraction is > 0 and < 1))
        {
            yield return FormattableString.Invariant(
                $"MinEntropyFraction is {fraction} but must be above 0, below 1, or null for no bound.");
        }

        if (EntropySteps is < 1 or > 1000)
        {
            yield return $"EntropySteps is {EntropySteps} but must be 1 to 1000.";
        }

        if (MaxRollBacks is < 1 or > 100)
        {
            yield return $"MaxRollBacks is {MaxRollBacks} but must be 1 to 100.";
        }
    }
}

/// <summary>The reaction of a trainer to a collapse that its <see cref="CollapseGuard"/> has detected.</summary>
public enum CollapseAction
{
    /// <summary>Training continues after a warning.</summary>
    Continue,

    /// <summary>The run ends in order, as after its last step.</summary>
    Stop,

    /// <summary>The weights and moments of the best checkpoint are restored, and training continues with the next step's prompts.</summary>
    RollBack,
}

/// <summary>A collapse of the policy that a trainer has detected.</summary>
/// <param name="Step">The step after which the collapse was detected, or whose update failed.</param>
/// <param name="Reason">The reason as a sentence with the measured value and its bound.</param>
/// <param name="Action">The reaction. <see cref="CollapseAction.Stop"/> also if no roll-back was possible any more.</param>
/// <param name="RestoredStep">The step of the checkpoint that was restored. Null without a roll-back.</param>
public sealed record TrainingCollapse(long Step, string Reason, CollapseAction Action, long? RestoredStep = null);
