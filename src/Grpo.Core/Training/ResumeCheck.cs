using Grpo.Optimization;
using Microsoft.Extensions.Logging;

namespace Grpo.Training;

/// <summary>Checks that a run may resume from a checkpoint: only the run that wrote it may, unless changes are allowed.</summary>
internal static class ResumeCheck
{
    private static readonly string[] ModelFacts = [RunIdentity.Model + " ", RunIdentity.Model + ".weights ", RunIdentity.Model
        + ".config."];

    /// <summary>Compares a run with the one that wrote a checkpoint. Call it before anything is loaded from the checkpoint.</summary>
    /// <param name="checkpoint">The folder of the checkpoint.</param>
    /// <param name="now">The options and identity of the run that resumes.</param>
    /// <param name="allowChanges">True to log differences instead of throwing.</param>
    /// <param name="logger">The log of what was not compared, and of allowed differences.</param>
    /// <exception cref="InvalidDataException">
    /// The run differs; the message lists every difference with both values. Or the file is damaged.
    /// </exception>
    public static void Require(string checkpoint, SavedOptions now, bool allowChanges, ILogger logger)
    {
        if (SavedOptions.Read(checkpoint) is not { } saved)
        {
            logger.OptionsNotSaved(checkpoint);
            return;
        }

        if (!saved.IsOfSameTrainer(now))
        {
            return; // loading will name the file that is missing for this trainer
        }

        if (saved.Identity is null)
        {
            logger.IdentityNotSaved(checkpoint);
        }

        IReadOnlyList<string> options = saved.DifferencesTo(now), parts = saved.PartDifferencesTo(now);
        if (options.Count + parts.Count > 0)
        {
            string list = string.Join("; ", options.Concat(parts));
            string what = parts.Count == 0 ? "options" : options.Count == 0 ? "parts" : "options and parts";
            if (!allowChanges)
            {
                throw new InvalidDataException(
                    $"'{checkpoint}' is of a run with other {what}, so going on would be neither that run nor this one: {list}. "
                    + Remedy(parts)
                    + $"Use the {what} of the checkpoint, or another folder for a new run, or set AllowOptionChanges to go on with these.");
            }

            logger.OptionsChanged(what, list);
        }

        if (saved.EvaluatorDifferencesTo(now) is { Count: > 0 } measures && !measures.All(parts.Contains))
        {
            logger.EvaluatorChanged(string.Join("; ", measures));
        }
    }

    // A common mistake: the checkpoint that the run resumes from is also given as the model.
    private static string Remedy(IReadOnlyList<string> parts) =>
        parts.Any(part => ModelFacts.Any(start => part.StartsWith(start, StringComparison.Ordinal)))
        ? "Load the model that the run began with, and not one of its checkpoints: the trainer loads the checkpoint into it. "
        : "";
}
