namespace Grpo.Training;

/// <summary>When a trainer takes the policy for collapsed, and what it does then.</summary>
/// <remarks>
/// <para>
/// Accuracy: the held-out accuracy has lost more than <see cref="MaxAccuracyDrop"/> of the best one, or more than half of it where that is
/// less, and the difference is more than three standard errors of two proportions: on 64 problems 0.60 to 0.40 may be luck, on 512 it is
/// not. The bound is looked at after each evaluation.
/// </para>
/// <para>
/// Entropy: a policy that has learned a task with one answer ends near entropy 0 in good health, so this bound is off unless set. It is
/// relative to the first step of the run, and looked at after each step.
/// </para>
/// <para>
/// Divergence: with <see cref="CollapseAction.RollBack"/> a <see cref="TrainingDivergedException"/> is a collapse too; otherwise it
/// comes through.
/// </para>
/// <para>
/// A roll-back restores weights, moments, KL coefficient, the learning-rate schedule's position and the pass rates of the best checkpoint.
/// The number of the step and the order of prompts go on, so that neither prompts nor random numbers repeat: the steps between are spent.
/// A policy whose best checkpoint is the collapsed one itself is not rolled back: the run stops.
/// </para>
/// </remarks>
public sealed record CollapseGuard : IReflectedOptions
{
    /// <summary>What to do.</summary>
    /// <value>
    /// Default <see cref="CollapseAction.Stop"/>. <see cref="CollapseAction.RollBack"/> needs an evaluator and a checkpoint store.
    /// </value>
    public CollapseAction OnCollapse { get; set; } = CollapseAction.Stop;

    /// <summary>The held-out accuracy that may be lost.</summary>
    /// <value>Above 0, up to 1; default 0.2. Null: accuracy is not looked at.</value>
    public double? MaxAccuracyDrop { get; set; } = 0.2;

    /// <summary>
    /// The fraction of the first step's mean entropy that the mean of the last <see cref="EntropySteps"/> steps must reach.
    /// </summary>
    /// <value>Above 0, below 1; default null: entropy is not looked at.</value>
    public double? MinEntropyFraction { get; set; }

    /// <summary>Steps that the entropy is averaged over; before so many are done it is not looked at.</summary>
    /// <value>1 to 1000; default 10.</value>
    public int EntropySteps { get; set; } = 10;

    /// <summary>Roll-backs in a run, resumed parts included; the collapse after that stops it.</summary>
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
