using Grpo.IO;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grpo.Checkpoints;

/// <summary>
/// The checkpoint store in a folder of the file system. It keeps the newest checkpoints (<c>checkpoint-000123</c> for step 123) and the
/// best one, however old.
/// </summary>
/// <remarks>
/// Each checkpoint has a <c>checkpoint.json</c> that lists its files with sizes and SHA-256; <c>best.json</c> names the best checkpoint. A
/// checkpoint is written to a temporary folder, flushed to the disk and renamed. A crash or a full disk at any moment therefore leaves
/// either the complete new checkpoint or only the earlier ones. While one process saves, others may search for the latest checkpoint. Only
/// one run at a time can claim the folder (<see cref="BeginRun"/>).
/// </remarks>
public sealed class DirectoryCheckpointStore : ICheckpointStore
{
    private readonly string _root;
    private readonly ILogger _logger;
    private readonly TemporaryEntries _temporaries;
    private readonly CheckpointPruning _pruning;
    private bool _claimed;

    /// <summary>Creates a store. The constructor does not access the disk.</summary>
    /// <param name="root">The folder of the checkpoints. It is created when the first checkpoint is saved.</param>
    /// <param name="keepLast">
    /// The number of newest checkpoints to keep, 1 or more; default 3. The best one is kept in addition.
    /// </param>
    /// <param name="logger">The logger, which gets a warning for each damaged checkpoint that is skipped.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="keepLast"/> is less than 1.</exception>
    public DirectoryCheckpointStore(string root, int keepLast = 3, ILogger<DirectoryCheckpointStore>? logger = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(root);
        ArgumentOutOfRangeException.ThrowIfLessThan(keepLast, 1);
        _root = Path.GetFullPath(root);
        _logger = logger ?? NullLogger<DirectoryCheckpointStore>.Instance;
        _temporaries = new TemporaryEntries(_root, _logger);
        _pruning = new CheckpointPruning(_root, keepLast, _temporaries, _logger);
    }

    /// <summary>Called after each stage of a save, so that tests can end the process there.</summary>
    internal Action<string>? Probe { get; set; }

    /// <inheritdoc/>
    /// <remarks>
    /// The claim is a file that is held open, so that a crashed run leaves no claim behind. While a claim lasts, a save into a missing
    /// folder is an error. The folder is not created again, because its disk may be gone. Saving and finding also work without a claim.
    /// Network file systems without locks cannot enforce a claim.
    /// </remarks>
    /// <exception cref="IOException">
    /// Another run has claimed the folder, and the message names its process; or the folder cannot be written to.
    /// </exception>
    public IDisposable BeginRun()
    {
        RunLock claim = RunLock.Acquire(_root, () => _claimed = false);
        _claimed = true;
        return claim;
    }

    /// <inheritdoc/>
    /// <remarks>
    /// A checkpoint of the same step is replaced. Then the oldest checkpoints are removed until the number to keep remains, including the
    /// new one. The best checkpoint and those of higher steps are never removed, and damaged ones do not count toward the number.
    /// <paramref name="write"/> runs on the caller's thread. If it throws, its exception is passed on and the incomplete checkpoint is
    /// removed.
    /// </remarks>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="step"/> is negative.</exception>
    /// <exception cref="InvalidOperationException">
    /// <paramref name="write"/> wrote no file, or it wrote a link or a <c>checkpoint.json</c>.
    /// </exception>
    /// <exception cref="IOException">
    /// The folder cannot be written to or is missing, the disk is full, or the path is a file. The message names the folder and the cause.
    /// The earlier checkpoints are unchanged.
    /// </exception>
    public async ValueTask<string> SaveAsync(long step, Action<string> write, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        ArgumentNullException.ThrowIfNull(write);
        cancellationToken.ThrowIfCancellationRequested();
        string temporary = _temporaries.NewPath();
        string final = Path.Combine(_root, CheckpointFolders.Name(step));
        using FileStream held = Begin(temporary);
        try
        {
            Probe?.Invoke("begun");
            write(temporary);
            Probe?.Invoke("written");
            await CheckpointManifest.WriteAsync(temporary, step).ConfigureAwait(false);
            FolderFlush.Try(temporary);
            Probe?.Invoke("flushed");
            MoveIntoPlace(temporary, final);
            FolderFlush.Try(_root);
            Probe?.Invoke("renamed");
        }
        catch (Exception exception)
        {
            // The message depends on whether the disk is full, so it is composed before the removal frees space.
            IOException? failure = exception is IOException or UnauthorizedAccessException ? Failure(exception) : null;
            _temporaries.Remove(temporary);
            if (failure is not null)
            {
                throw failure;
            }

            throw;
        }

        _logger.CheckpointSaved(step, final);
        await _pruning.PruneAsync(step, Probe).ConfigureAwait(false);
        Probe?.Invoke("pruned");
        return final;
    }

    /// <inheritdoc/>
    /// <remarks>
    /// Every file is compared with its hash. A damaged checkpoint is logged, and the next older one is tried. If an interrupted save lacked
    /// only its last rename, the rename is done now. The folder of any other interrupted save is removed. The folder of a save that is
    /// running, in any process, is not touched.
    /// </remarks>
    /// <exception cref="InvalidDataException">All checkpoints are damaged; the message names them.</exception>
    public async ValueTask<string?> FindLatestAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        if (!Directory.Exists(_root))
        {
            return null;
        }

        await _temporaries.RemoveLeftoversAsync(RecoverAsync).ConfigureAwait(false);
        List<string> damaged = [];
        foreach ((long step, string folder) in CheckpointFolders.NewestFirst(_root))
        {
            string? problem = await CheckpointManifest
                .FindProblemAsync(folder, step, withHashes: true, cancellationToken).ConfigureAwait(false);
            if (problem is null)
            {
                return folder;
            }

            _logger.CheckpointDamaged(folder, problem);
            damaged.Add($"{Path.GetFileName(folder)}: {problem}");
        }

        return damaged.Count == 0 ? null : throw new InvalidDataException(
            $"Every checkpoint in '{_root}' is damaged ({string.Join("; ", damaged)}). Put one back from a copy, or "
            + "choose another folder to start anew.");
    }

    /// <inheritdoc/>
    /// <remarks>
    /// The checkpoint's files are checked by size, not by hash. The mark is the file <c>best.json</c>, which is replaced atomically. The
    /// next save may remove the checkpoint that was the best before.
    /// </remarks>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="step"/> is negative.</exception>
    /// <exception cref="IOException"><c>best.json</c> cannot be written.</exception>
    public async ValueTask<string?> MarkBestAsync(long step, CancellationToken cancellationToken = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        cancellationToken.ThrowIfCancellationRequested();
        string? folder = await FindAsync(step, withHashes: false, cancellationToken).ConfigureAwait(false);
        if (folder is not null)
        {
            string temporary = _temporaries.NewPath();
            try
            {
                using FileStream held = TemporaryEntries.Hold(temporary);
                BestMark.Write(_root, temporary, step, CheckpointFolders.Name(step));
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                throw Failure(exception);
            }

            FolderFlush.Try(_root);
            Probe?.Invoke("marked");
        }

        return folder;
    }

    /// <inheritdoc/>
    /// <remarks>
    /// Every file is compared with its hash. If <c>best.json</c> is unreadable or the checkpoint is damaged, a warning is logged and the
    /// result is null.
    /// </remarks>
    public async ValueTask<string?> FindBestAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return CheckpointPruning.ReadBest(_root, _logger).Step is { } step
            ? await FindAsync(step, withHashes: true, cancellationToken).ConfigureAwait(false)
            : null;
    }

    private async Task<string?> FindAsync(long step, bool withHashes, CancellationToken cancellationToken)
    {
        string folder = Path.Combine(_root, CheckpointFolders.Name(step));
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

    /// <summary>
    /// Creates the root and a temporary folder. Returns the lock of the temporary folder, which the save holds until it ends.
    /// </summary>
    private FileStream Begin(string temporary)
    {
        FileStream? held = null;
        try
        {
            if (_claimed && !Directory.Exists(_root))
            {
                throw new DirectoryNotFoundException("The folder is gone.");
            }

            Directory.CreateDirectory(_root);
            held = TemporaryEntries.Hold(temporary);
            Directory.CreateDirectory(temporary);
            return held;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            held?.Dispose();
            throw Failure(exception);
        }
    }

    private IOException Failure(Exception cause)
    {
        string remedy = cause switch
        {
            _ when _claimed && !Directory.Exists(_root) => "It was there when the run began; put the disk or the folder back.",
            _ => WriteFailure.Remedy(
                cause, _root, "Choose a folder that can be written to.", whenFull: "Make room on the disk, or keep fewer checkpoints."),
        };
        return new IOException($"Cannot save checkpoints in '{_root}': {cause.Message} {remedy}", cause);
    }

    // A save that was killed before or between its renames leaves a complete checkpoint under a temporary name.
    private async Task<bool> RecoverAsync(string leftover)
    {
        if (!File.Exists(Path.Combine(leftover, CheckpointManifest.FileName))
            || await CheckpointManifest.FindStepAsync(leftover).ConfigureAwait(false) is not { } step)
        {
            return false;
        }

        string final = Path.Combine(_root, CheckpointFolders.Name(step));
        if (Directory.Exists(final)
            || await CheckpointManifest.FindProblemAsync(leftover, step, withHashes: true, CancellationToken.None).ConfigureAwait(false)
                is not null)
        {
            return false;
        }

        Directory.Move(leftover, final);
        FolderFlush.Try(_root);
        _logger.CheckpointRecovered(final);
        return true;
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
        Probe?.Invoke("replacing");
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
}
