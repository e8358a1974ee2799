using System.Globalization;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grpo;

/// <summary>
/// Keeps the newest checkpoints in a folder: <c>checkpoint-000123</c> for step 123, each with a <c>checkpoint.json</c> that lists its
/// files, their sizes and SHA-256.
/// </summary>
/// <remarks>
/// A checkpoint is written beside under a temporary name, flushed to the disk and renamed, so that a crash or a full disk at any moment
/// leaves either the new checkpoint complete or only the earlier ones. While one process saves, others may look for the latest.
/// </remarks>
public sealed class DirectoryCheckpointStore : ICheckpointStore
{
    private const string Prefix = "checkpoint-";
    private const string TemporaryPrefix = ".tmp-";
    private const string LockSuffix = ".lock";

    private readonly string _root;
    private readonly int _keepLast;
    private readonly ILogger _logger;

    /// <summary>Creates a store. Nothing is touched on the disk before the first call.</summary>
    /// <param name="root">The folder of the checkpoints; created when the first is saved.</param>
    /// <param name="keepLast">How many to keep, the one just saved included; 1 or more, default 3.</param>
    /// <param name="logger">Receives a warning for each damaged checkpoint that is skipped.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="keepLast"/> is less than 1.</exception>
    public DirectoryCheckpointStore(string root, int keepLast = 3, ILogger<DirectoryCheckpointStore>? logger = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(root);
        ArgumentOutOfRangeException.ThrowIfLessThan(keepLast, 1);
        _root = Path.GetFullPath(root);
        _keepLast = keepLast;
        _logger = logger ?? NullLogger<DirectoryCheckpointStore>.Instance;
    }

    /// <inheritdoc/>
    /// <remarks>
    /// A checkpoint of the same step is replaced. Once the new one is in place, complete checkpoints of lower steps beyond the number to
    /// keep are removed; those of higher steps are left alone. <paramref name="write"/> runs on the caller's thread; when it throws, its
    /// exception comes through and nothing is left behind.
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
        string temporary = TemporaryFolder();
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
            Remove(temporary);
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

        RemoveLeftovers();
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

    private static string FolderName(long step) => Prefix + step.ToString("D6", CultureInfo.InvariantCulture);

    private string TemporaryFolder() => Path.Combine(_root, $"{TemporaryPrefix}{Guid.NewGuid():N}");

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
            FileStream held = Hold(temporary);
            Directory.CreateDirectory(temporary);
            return held;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new IOException(
                $"Cannot save checkpoints in '{_root}': {exception.Message} Choose a folder that can be written to.", exception);
        }
    }

    /// <summary>
    /// A lock beside a temporary folder says that somebody is still at work in it. The system lets go of it when a process dies.
    /// </summary>
    private static FileStream Hold(string temporary) =>
        new(temporary + LockSuffix, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0, FileOptions.DeleteOnClose);

    private void MoveIntoPlace(string temporary, string final)
    {
        if (!Directory.Exists(final))
        {
            Directory.Move(temporary, final);
            return;
        }

        string replaced = TemporaryFolder();
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

        Remove(replaced);
    }

    private async Task PruneAsync(long saved)
    {
        int kept = 1;
        foreach ((long step, string folder) in NewestFirst().Where(checkpoint => checkpoint.Step < saved))
        {
            if (kept >= _keepLast)
            {
                Prune(folder);
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
        string doomed = TemporaryFolder();
        try
        {
            Directory.Move(folder, doomed);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            _logger.RemovalFailed(exception, folder);
            return;
        }

        if (Remove(doomed))
        {
            _logger.CheckpointPruned(folder);
        }
    }

    private void RemoveLeftovers()
    {
        IEnumerable<string> leftovers = Directory.EnumerateFileSystemEntries(_root, TemporaryPrefix + "*")
            .Select(path => path.EndsWith(LockSuffix, StringComparison.Ordinal) ? path[..^LockSuffix.Length] : path)
            .Distinct(StringComparer.Ordinal);
        foreach (string leftover in leftovers.ToArray())
        {
            try
            {
                using FileStream held = Hold(leftover);
                if (Directory.Exists(leftover) && Remove(leftover))
                {
                    _logger.LeftoverRemoved(leftover);
                }
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                _logger.LeftoverKept(leftover);
            }
        }
    }

    /// <summary>Never throws for a folder that cannot be removed: the checkpoints are intact, and the warning says so.</summary>
    private bool Remove(string folder)
    {
        try
        {
            if (Directory.Exists(folder))
            {
                Directory.Delete(folder, recursive: true);
            }

            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            _logger.RemovalFailed(exception, folder);
            return false;
        }
    }
}
