using Microsoft.Extensions.Logging;

namespace Grpo.Checkpoints;

/// <summary>Removes the checkpoints of a store that are neither among the newest nor the best.</summary>
/// <param name="root">The folder of the checkpoints.</param>
/// <param name="keepLast">How many to keep, the one just saved included, besides the best.</param>
/// <param name="temporaries">Names for what is being removed.</param>
/// <param name="logger">Hears what was removed.</param>
internal sealed class CheckpointPruning(string root, int keepLast, TemporaryEntries temporaries, ILogger logger)
{
    /// <summary>The step that is marked as the best, and what is wrong with the mark, which is logged.</summary>
    public static (long? Step, string? Problem) ReadBest(string root, ILogger logger)
    {
        (long? step, string? problem) = BestMark.Read(root);
        if (problem is not null)
        {
            logger.BestMarkDamaged(Path.Combine(root, BestMark.FileName), problem);
        }

        return (step, problem);
    }

    /// <summary>Removes what is older than a checkpoint that has just been saved and is not to be kept.</summary>
    /// <param name="saved">Its step.</param>
    /// <param name="probe">Told when a checkpoint has been renamed and is about to be removed.</param>
    /// <remarks>Never throws for what cannot be removed: the new checkpoint is in place, that old ones stay is no reason to fail.</remarks>
    public async Task PruneAsync(long saved, Action<string>? probe)
    {
        try
        {
            await PruneOlderAsync(saved, probe).ConfigureAwait(false);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            logger.RemovalFailed(exception, root);
        }
    }

    private async Task PruneOlderAsync(long saved, Action<string>? probe)
    {
        (long? best, string? problem) = ReadBest(root, logger);
        if (problem is not null)
        {
            return; // any of them may be the best
        }

        int kept = 1;
        foreach ((long step, string folder) in CheckpointFolders.NewestFirst(root).Where(checkpoint => checkpoint.Step < saved))
        {
            if (kept >= keepLast)
            {
                if (step != best)
                {
                    Prune(folder, probe);
                }
            }
            else if (await CheckpointManifest
                .FindProblemAsync(folder, step, withHashes: false, CancellationToken.None).ConfigureAwait(false) is null)
            {
                // A damaged one does not count: otherwise it could push out the only good one.
                kept++;
            }
        }
    }

    /// <summary>Renamed first: a removal that is interrupted leaves a leftover, not half a checkpoint.</summary>
    private void Prune(string folder, Action<string>? probe)
    {
        string doomed = temporaries.NewPath();
        try
        {
            Directory.Move(folder, doomed);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            logger.RemovalFailed(exception, folder);
            return;
        }

        probe?.Invoke("pruning");
        if (temporaries.Remove(doomed))
        {
            logger.CheckpointPruned(folder);
        }
    }
}
