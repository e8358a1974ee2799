using Grpo.Evaluation;
using Grpo.Training;

namespace Grpo;

/// <summary>One step of a training run: the report of the optimizer, and the evaluation, checkpoint and events around it.</summary>
/// <param name="Report">The report of the optimizer.</param>
public sealed record TrainingStep(StepReport Report)
{
    /// <summary>The number of the step, from 1.</summary>
    public long Step => Report.Step;

    /// <summary>The evaluation after the step. Null if none was due.</summary>
    public EvaluationReport? Evaluation { get; init; }

    /// <summary>
    /// The folder of the checkpoint that was written after the step. Null if none was due, and always null in callbacks, which run before
    /// the checkpoint.
    /// </summary>
    public string? Checkpoint { get; init; }

    /// <summary>The prompts that the curriculum skipped and paused. Null without a curriculum.</summary>
    public CurriculumReport? Curriculum { get; init; }

    /// <summary>
    /// A text about unusual events, such as a collapse at this step, a roll-back before it, or a checkpoint that could not be written. Null
    /// if there were none.
    /// </summary>
    public string? Event { get; init; }
}
