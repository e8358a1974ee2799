using Grpo.Evaluation;
using Grpo.Training;

namespace Grpo;

/// <summary>One step of a training run: the optimizer's report, and everything that the trainer did around it.</summary>
/// <param name="Report">The report of the optimizer.</param>
public sealed record TrainingStep(StepReport Report)
{
    /// <summary>The number of the step, from 1.</summary>
    public long Step => Report.Step;

    /// <summary>The evaluation after the step; null when none was due.</summary>
    public EvaluationReport? Evaluation { get; init; }

    /// <summary>
    /// The folder of the checkpoint that was written after the step; null when none was due. Callbacks see null: they
    /// run before the checkpoint.
    /// </summary>
    public string? Checkpoint { get; init; }

    /// <summary>The prompts that the curriculum skipped and paused; null without a curriculum.</summary>
    public CurriculumReport? Curriculum { get; init; }

    /// <summary>A sentence about a collapse that was found at this step or rolled back before it; null in the ordinary case.</summary>
    public string? Event { get; init; }
}
