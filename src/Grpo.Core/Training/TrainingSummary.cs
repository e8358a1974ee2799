using Grpo.Evaluation;

namespace Grpo.Training;

/// <summary>The results of a training run: its steps, evaluations, checkpoints and how it ended.</summary>
public sealed record TrainingSummary
{
    /// <summary>The number of steps since the run was started or resumed.</summary>
    public required long Steps { get; init; }

    /// <summary>The number of the last step that is done, counted from the very first step, including those before a resume.</summary>
    public long LastStep { get; init; }

    /// <summary>The number of completion tokens that were sampled since the run was started or resumed.</summary>
    public required long CompletionTokens { get; init; }

    /// <summary>The wall time since the run was started or resumed, including evaluations and checkpoints.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>
    /// The evaluation before the first step. Null without an evaluator. After a resume it has numbers but no completions.
    /// </summary>
    public EvaluationReport? Before { get; init; }

    /// <summary>The most recent evaluation, normally the one after the last step. Null without an evaluator.</summary>
    public EvaluationReport? After { get; init; }

    /// <summary>The best evaluation and its checkpoint. Null without an evaluator.</summary>
    public BestCheckpoint? Best { get; init; }

    /// <summary>
    /// All evaluations in their order, including those before a resume. A roll-back adds the evaluation of the restored policy under the
    /// step of the roll-back.
    /// </summary>
    public IReadOnlyList<EvaluatedStep> Evaluations { get; init; } = [];

    /// <summary>The folder of the last checkpoint. Null if none was written.</summary>
    public string? Checkpoint { get; init; }

    /// <summary>True if the run ended before its last step, because it was canceled or the caller left the loop over the steps.</summary>
    public bool Canceled { get; init; }

    /// <summary>The last collapse of the policy that was detected. Null if there was none.</summary>
    public TrainingCollapse? Collapse { get; init; }

    /// <summary>The number of times that the best checkpoint was restored, including those before a resume.</summary>
    public int RollBacks { get; init; }

    /// <summary>
    /// The message of the exception that ended the run, followed by that of an exception that prevented the last checkpoint. Null if there
    /// was neither.
    /// </summary>
    public string? Failure { get; init; }
}

/// <summary>
/// The best held-out evaluation so far, by accuracy, or by mean reward if the reward does not judge correctness. The first of equals wins.
/// </summary>
/// <param name="Step">The number of steps done. 0 is the model before training.</param>
/// <param name="Evaluation">The evaluation. It has no completions if it is from before a resume.</param>
/// <param name="Folder">
/// The folder of the checkpoint. Null if none was written: without a checkpoint store, without <see cref="TrainerOptions.KeepBest"/>, and
/// for step 0 unless <see cref="CollapseAction.RollBack"/> may need it. Also null if the checkpoint disappeared before a resume.
/// </param>
public sealed record BestCheckpoint(long Step, EvaluationReport Evaluation, string? Folder);

/// <summary>An evaluation in the history of a training run.</summary>
/// <param name="Step">The number of steps done before the evaluation.</param>
/// <param name="Evaluation">The numbers of the evaluation, without items and completions.</param>
public sealed record EvaluatedStep(long Step, EvaluationReport Evaluation);
