using Grpo.Checkpoints;
using Microsoft.Extensions.Logging;

namespace Grpo.Training;

/// <summary>The parts of a <see cref="GrpoTrainer"/> that one of its runs works with.</summary>
/// <param name="Optimizer">The optimizer that does the steps.</param>
/// <param name="Prompts">The data set.</param>
/// <param name="Options">The options of the trainer.</param>
/// <param name="Services">The evaluator, the checkpoint store and the callbacks.</param>
/// <param name="Schedule">The choice of the prompts of each step.</param>
/// <param name="SavedOptions">The options and identities that checkpoints hold.</param>
/// <param name="Logger">The log.</param>
internal sealed record RunParts(
    GrpoOptimizer Optimizer, IReadOnlyList<Prompt> Prompts, TrainerOptions Options, TrainerServices Services, PromptSchedule Schedule,
    Lazy<SavedOptions> SavedOptions, ILogger Logger)
{
    /// <summary>The checkpoint store; null without one.</summary>
    public ICheckpointStore? Store => Services.Checkpoints;
}
