using System.Globalization;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grpo;

/// <summary>
/// Keeps the newest checkpoints in a folder: <c>checkpoint-000123</c> for step 123, each with a <c>checkpoint.json</c> that lists its
/// files, their sizes and SHA-256. <c>best.json</c> names the best one, which is kept however old it is.
/// </summary>
/// <remarks>
/// A checkpoint is written beside under a temporary name, flushed to the disk and renamed, so that a crash or a full disk at any moment
/// leaves either the new checkpoint complete or only the earlier ones. While one process saves, others may look for the latest.
/// </remarks>
public sealed class DirectoryCheckpointStore : ICheckpointStore
{
    private const string Prefix = "checkpoint-";

    private readonly string _root;
    private readonly int _keepLast;
    private readonly ILogger _logger;
    private readonly TemporaryEntries _temporaries;

    /// <summary>Creates a store. Nothing is touched on the disk before the first call.</summary>
    /// <param name="root">The folder of the checkpoints; created when the first is saved.</param>
    /// <param name="keepLast">How many to keep, the one just saved included, besides the best; 1 or more, default 3.</param>
    /// <param name="logger">Receives a warning for each damaged checkpoint that is skipped.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="keepLast"/> is less than 1.</exception>
    public DirectoryCheckpointStore(string root, int keepLast = 3, ILogger<DirectoryCheckpointStore>? logger = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(root);
        ArgumentOutOfRangeException.ThrowIfLessThan(keepLast, 1);
        _root = Path.GetFullPath(root);
        _keepLast = keepLast;
        _logger = logger ?? NullLogger<DirectoryCheckpointStore>.Instance;
        _temporaries = new TemporaryEntries(_root, _logger);
    }

    /// <inheritdoc/>
    /// <remarks>
    /// A checkpoint of the same step is replaced. Once the new one is in place, complete checkpoints of lower steps beyond the number to
    /// keep are removed, except the best; those of higher steps are left alone. <paramref name="write"/> runs on the caller's thread; when
    /// it throws, its exception comes through and nothing is left behind.
    /// </remarks>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="step"/> is negative.</exception>
    /// <exception cref="InvalidOperationException">
    /// <paramref name="write"/> wrote no file, a link, or its own <c>checkpoint.json</c>.
    /// </exception>
    /// <exception cref="IOException">The folder cannot be written to, the disk is full, or there is a file in its place.</exception>
    public async ValueTask<string> SaveAsync(long step, Action<string> write, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        ArgumentNullException.ThrowIfNull(write);
        cancellationToken.ThrowIfCancellationRequested();
        string temporary = _temporaries.NewPath();
        string final = Path.Combine(_root, FolderName(step));
        using FileStream held = Begin(temporary);
        try
        {
            write(temporary);
            await CheckpointManifest.WriteAsync(temporary, step).ConfigureAwait(false);
            MoveIntoPlace(temporary, final);
        }
        catch
        {
            _temporaries.Remove(temporary);
            throw;
        }

        _logger.CheckpointSaved(step, final);
        await PruneAsync(step).ConfigureAwait(false);
        return final;
    }

    /// <inheritdoc/>
    /// <remarks>
    /// Every file is read and compared with its hash; a damaged checkpoint is logged and the next older one is tried. Folders left behind
    /// by an interrupted save are removed; that of a save which is running, in this process or another, is not.
    /// </remarks>
    public async ValueTask<string?> FindLatestAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (!Directory.Exists(_root))
        {
            return null;
        }

        _temporaries.RemoveLeftovers();
        foreach ((long step, string folder) in NewestFirst())
        {
            string? problem = await CheckpointManifest
                .FindProblemAsync(folder, step, withHashes: true, cancellationToken).ConfigureAwait(false);
            if (problem is null)
            {
                return folder;
            }

            _logger.CheckpointDamaged(folder, problem);
        }

        return null;
    }

    /// <inheritdoc/>
    /// <remarks>
    /// Sizes are compared, not hashes. The mark is one small file, replaced in one go. The checkpoint that was the best becomes an
    /// ordinary one: the next save may remove it.
    /// </remarks>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="step"/> is negative.</exception>
    /// <exception cref="IOException">The mark cannot be written.</exception>
    public async ValueTask<string?> MarkBestAsync(long step, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        cancellationToken.ThrowIfCancellationRequested();
        string? folder = await FindAsync(step, withHashes: false, cancellationToken).ConfigureAwait(false);
        if (folder is not null)
        {
            string temporary = _temporaries.NewPath();
            using FileStream held = TemporaryEntries.Hold(temporary);
            BestMark.Write(_root, temporary, step, FolderName(step));
        }

        return folder;
    }

    /// <inheritdoc/>
    /// <remarks>Every file is read and compared with its hash. A mark that cannot be read, and a checkpoint that is damaged, are logged.</remarks>
    public async ValueTask<string?> FindBestAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return ReadBest().Step is { } step ? await FindAsync(step, withHashes: true, cancellationToken).ConfigureAwait(false) : null;
    }

    private async Task<string?> FindAsync(long step, bool withHashes, CancellationToken cancellationToken)
    {
        string folder = Path.Combine(_root, FolderName(step));
        if (!Directory.Exists(folder))
        {
            return null;
        }

        string? problem = await CheckpointManifest
            .FindProblemAsync(folder, step, withHashes, cancellationToken).ConfigureAwait(false);
        if (problem is not null)
        {
            _logger.CheckpointDamaged(folder, problem);
        }

        return problem is null ? folder : null;
    }

    private (long? Step, string? Problem) ReadBest()
    {
        (long? step, string? problem) = BestMark.Read(_root);
        if (problem is not null)
        {
            _logger.BestMarkDamaged(Path.Combine(_root, BestMark.FileName), problem);
        }

        return (step, problem);
    }

    private static string FolderName(long step) => Prefix + step.ToString("D6", CultureInfo.InvariantCulture);

    /// <summary>Folders with exactly the name that <see cref="FolderName"/> gives; anything else in the root is not ours.</summary>
    private List<(long Step, string Folder)> NewestFirst()
    {
        List<(long Step, string Folder)> found = [];
        foreach (string folder in Directory.EnumerateDirectories(_root, Prefix + "*"))
        {
            string name = Path.GetFileName(folder);
            if (long.TryParse(name.AsSpan(Prefix.Length), NumberStyles.None, CultureInfo.InvariantCulture, out long step)
                && name == FolderName(step))
            {
                found.Add((step, folder));
            }
        }

        return [.. found.OrderByDescending(checkpoint => checkpoint.Step)];
    }

    /// <summary>Creates the root and a temporary folder, whose lock is held until the save ends.</summary>
    private FileStream Begin(string temporary)
    {
        try
        {
            Directory.CreateDirectory(_root);
            FileStream held = TemporaryEntries.Hold(temporary);
            Directory.CreateDirectory(temporary);
            return held;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new IOException(
                $"Cannot save checkpoints in '{_root}': {exception.Message} Choose a folder that can be written to.", exception);
        }
    }

    private void MoveIntoPlace(string temporary, string final)
    {
        if (!Directory.Exists(final))
        {
            Directory.Move(temporary, final);
            return;
        }

        string replaced = _temporaries.NewPath();
        Directory.Move(final, replaced);
        try
        {
            Directory.Move(temporary, final);
        }
        catch
        {
            Directory.Move(replaced, final);
            throw;
        }

        _temporaries.Remove(replaced);
    }

    private async Task PruneAsync(long saved)
    {
        (long? best, string? problem) = ReadBest();
        if (problem is not null)
        {
            return; // any of them may be the best
        }

        int kept = 1;
        foreach ((long step, string folder) in NewestFirst().Where(checkpoint => checkpoint.Step < saved))
        {
            if (kept >= _keepLast)
            {
                if (step != best)
                {
                    Prune(folder);
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
    private void Prune(string folder)
    {
        string doomed = _temporaries.NewPath();
        try
        {
            Directory.Move(folder, doomed);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            _logger.RemovalFailed(exception, folder);
            return;
        }

        if (_temporaries.Remove(doomed))
        {
            _logger.CheckpointPruned(folder);
        }
    }
}
