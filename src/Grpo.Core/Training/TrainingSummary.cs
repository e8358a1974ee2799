using Grpo.Evaluation;

namespace Grpo.Training;

/// <summary>A training run in numbers.</summary>
public sealed record TrainingSummary
{
    /// <summary>Steps done since the run was started or resumed.</summary>
    public required long Steps { get; init; }

    /// <summary>The step that the run has come to, counted from the very first: those before a resume included.</summary>
    public long LastStep { get; init; }

    /// <summary>Completion tokens sampled since the run was started or resumed.</summary>
    public required long CompletionTokens { get; init; }

    /// <summary>Wall time since the run was started or resumed, evaluations and checkpoints included.</summary>
    public required TimeSpan Elapsed { get; init; }

    /// <summary>
    /// The first evaluation of all, before the first step; null without an evaluator. From before a resume it has no completions.
    /// </summary>
    public EvaluationReport? Before { get; init; }

    /// <summary>The evaluation of the policy as the run leaves it, or the last one before; null without an evaluator.</summary>
    public EvaluationReport? After { get; init; }

    /// <summary>The best evaluation; null without an evaluator.</summary>
    public BestCheckpoint? Best { get; init; }

    /// <summary>
    /// All evaluations, those from before a resume included. After a roll-back the restored policy's stands under the
    /// step of the roll-back.
    /// </summary>
    public IReadOnlyList<EvaluatedStep> Evaluations { get; init; } = [];

    /// <summary>The folder of the last checkpoint; null when none was written.</summary>
    public string? Checkpoint { get; init; }

    /// <summary>True if the run was stopped before its last step: by its token, or by leaving the loop over its steps.</summary>
    public bool Canceled { get; init; }

    /// <summary>The last collapse that was found; null when there was none.</summary>
    public TrainingCollapse? Collapse { get; init; }

    /// <summary>How often the best checkpoint was put back, before a resume included.</summary>
    public int RollBacks { get; init; }

    /// <summary>
    /// The message of the exception that ended the run, and of the one that kept the last checkpoint from being written; null where there
    /// was neither.
    /// </summary>
    public string? Failure { get; init; }
}
