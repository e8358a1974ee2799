using Grpo.Optimization;
using Microsoft.Extensions.Logging;

namespace Grpo.Training;

/// <summary>Decides whether a run goes on from a checkpoint: only the run that wrote it does, unless changes are allowed.</summary>
internal static class ResumeCheck
{
    private static readonly string[] OfModel = [RunIdentity.Model + " ", RunIdentity.Model + ".weights ", RunIdentity.Model + ".config."];

    /// <summary>Compares a run with the one that wrote a checkpoint, before anything of the checkpoint is loaded.</summary>
    /// <param name="checkpoint">The folder of the checkpoint.</param>
    /// <param name="now">The run that wants to go on.</param>
    /// <param name="allowChanges">Whether differences are told in the log in place of an exception.</param>
    /// <param name="logger">Told what was not compared, and what differs and is allowed.</param>
    /// <exception cref="InvalidDataException">
    /// The run differs, and the message has every difference with both values. Or the file is damaged.
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
            return; // loading says which file of its own a trainer misses
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

    // Who resumes from a checkpoint is tempted to name that checkpoint as the model.
    private static string Remedy(IReadOnlyList<string> parts) =>
        parts.Any(part => OfModel.Any(start => part.StartsWith(start, StringComparison.Ordinal)))
        ? "Load the model that the run began with, and not one of its checkpoints: the trainer loads the checkpoint into it. "
        : "";
}
