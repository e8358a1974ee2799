using Grpo.Evaluation;

namespace Grpo.Training;

/// <summary>
/// The best held-out evaluation so far: by accuracy, by mean reward where the reward does not judge; the first of equals.
/// </summary>
/// <param name="Step">Steps done; 0: the model as it was before training.</param>
/// <param name="Evaluation">Its evaluation; without completions when it is from before a resume.</param>
/// <param name="Folder">
/// Its checkpoint; null when none was written: for step 0, except where <see cref="CollapseAction.RollBack"/> may need it, without a
/// store, without <see cref="TrainerOptions.KeepBest"/>, and when the checkpoint has disappeared before a resume.
/// </param>
public sealed record BestCheckpoint(long Step, EvaluationReport Evaluation, string? Folder);
