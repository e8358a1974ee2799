using Microsoft.Extensions.Logging;

namespace Grpo.Checkpoints;

/// <summary>Removes the checkpoints of a store that are neither among the newest nor the best.</summary>
/// <param name="root">The folder of the checkpoints.</param>
/// <param name="keepLast">The number of newest checkpoints to keep, including the one just saved. The best one is kept in addition.</param>
/// <param name="temporaries">The temporary names for folders that are being removed.</param>
/// <param name="logger">The logger of removals.</param>
internal sealed class CheckpointPruning(string root, int keepLast, TemporaryEntries temporaries, ILogger logger)
{
    /// <summary>Returns the step that is marked as the best, or the problem of the mark, which is also logged.</summary>
    public static (long? Step, string? Problem) ReadBest(string root, ILogger logger)
    {
        (long? step, string? problem) = BestMark.Read(root);
        if (problem is not null)
        {
            logger.BestMarkDamaged(Path.Combine(root, BestMark.FileName), problem);
        }

        return (step, problem);
    }

    /// <summary>Removes old checkpoints after one has been saved.</summary>
    /// <param name="saved">The step of the checkpoint that has just been saved.</param>
    /// <param name="probe">Called after a checkpoint has been renamed and before it is removed.</param>
    /// <remarks>Logs failed removals instead of throwing: the new checkpoint is in place, and an old one that stays does no harm.</remarks>
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
            return; // any of the old checkpoints may be the best
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
                // A damaged checkpoint does not count. Otherwise it could displace the only good one.
                kept++;
            }
        }
    }

    /// <summary>Renames and then removes a checkpoint, so that an interrupted removal leaves no half checkpoint.</summary>
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
