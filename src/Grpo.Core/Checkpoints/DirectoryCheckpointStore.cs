using Grpo.IO;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grpo.Checkpoints;

/// <summary>
/// Keeps the newest checkpoints in a folder: <c>checkpoint-000123</c> for step 123, each with a <c>checkpoint.json</c> that lists its
/// files, their sizes and SHA-256. <c>best.json</c> names the best one, which is kept however old it is.
/// </summary>
/// <remarks>
/// A checkpoint is written beside under a temporary name, flushed to the disk and renamed, so that a crash or a full disk at any moment
/// leaves either the new checkpoint complete or only the earlier ones. While one process saves, others may look for the latest; only one
/// run at a time may claim the folder (<see cref="BeginRun"/>).
/// </remarks>
public sealed class DirectoryCheckpointStore : ICheckpointStore
{
    private readonly string _root;
    private readonly ILogger _logger;
    private readonly TemporaryEntries _temporaries;
    private readonly CheckpointPruning _pruning;
    private bool _claimed;

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
        _logger = logger ?? NullLogger<DirectoryCheckpointStore>.Instance;
        _temporaries = new TemporaryEntries(_root, _logger);
        _pruning = new CheckpointPruning(_root, keepLast, _temporaries, _logger);
    }

    /// <summary>Told what has just been done on the disk: tests end the process there.</summary>
    internal Action<string>? Probe { get; set; }

    /// <inheritdoc/>
    /// <remarks>
    /// By a file that is held open, so that a run that crashes leaves no claim behind. From here on a folder that vanishes is an error, not
    /// made anew: it may be a disk that is gone. Saving and finding work without a claim too. Network file systems without locks give none.
    /// </remarks>
    /// <exception cref="IOException">Another run has claimed it; the message names the process. Or the folder cannot be written to.</exception>
    public IDisposable BeginRun()
    {
        RunLock claim = RunLock.Acquire(_root, () => _claimed = false);
        _claimed = true;
        return claim;
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
    /// <exception cref="IOException">
    /// The folder cannot be written to or has vanished, the disk is full, or there is a file in its place. The message names the folder and the
    /// cause; the earlier checkpoints are as they were.
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
            // Before the space of the half-written checkpoint is free again.
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
    /// Every file is read and compared with its hash; a damaged checkpoint is logged and the next older one is tried. Folders left behind
    /// by an interrupted save are removed, or put in place where the save had come to all but the rename; that of a save which is running, in
    /// this process or another, is left alone.
    /// </remarks>
    /// <exception cref="InvalidDataException">There are checkpoints, and all are damaged; the message names them.</exception>
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
            $"Every checkpoint in '{_root}' is damaged ({string.Join("; ", damaged)}). Put one back from a copy, or choose another folder to start anew.");
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
    /// <remarks>Every file is read and compared with its hash. A mark that cannot be read, and a checkpoint that is damaged, are logged.</remarks>
    public async ValueTask<string?> FindBestAsync(CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        return CheckpointPruning.ReadBest(_root, _logger).Step is { } step ? await FindAsync(step, withHashes: true, cancellationToken).ConfigureAwait(false) : null;
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

    /// <summary>Creates the root and a temporary folder, whose lock is held until the save ends.</summary>
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

    // A save that was killed before or between its renames has left a whole checkpoint under a temporary name.
    private async Task<bool> RecoverAsync(string leftover)
    {
        if (!File.Exists(Path.Combine(leftover, CheckpointManifest.FileName))
            || await CheckpointManifest.FindStepAsync(leftover).ConfigureAwait(false) is not { } step)
        {
            return false;
        }

        string final = Path.Combine(_root, CheckpointFolders.Name(step));
        if (Directory.Exists(final)
            || await CheckpointManifest.FindProblemAsync(leftover, step, withHashes: true, CancellationToken.None).ConfigureAwait(false) is not null)
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
