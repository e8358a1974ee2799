using Grpo.Checkpoints;
using Microsoft.Extensions.Logging;

namespace Grpo.IO;

/// <summary>The unfinished files and folders of a checkpoint store: names, locks, and what a crash left behind.</summary>
/// <param name="root">The folder of the checkpoints.</param>
/// <param name="logger">Hears what was removed.</param>
internal sealed class TemporaryEntries(string root, ILogger logger)
{
    private const string Prefix = ".tmp-";
    private const string LockSuffix = ".lock";

    public string NewPath() => Path.Combine(root, $"{Prefix}{Guid.NewGuid():N}");

    /// <summary>A lock beside an entry says that somebody is still at work in it. The system lets go of it when a process dies.</summary>
    public static FileStream Hold(string temporary) =>
        new(temporary + LockSuffix, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0, FileOptions.DeleteOnClose);

    /// <param name="recover">Asked first for each folder; true when it was of use and is no longer there.</param>
    public async Task RemoveLeftoversAsync(Func<string, Task<bool>> recover)
    {
        IEnumerable<string> leftovers = Directory.EnumerateFileSystemEntries(root, Prefix + "*")
            .Select(path => path.EndsWith(LockSuffix, StringComparison.Ordinal) ? path[..^LockSuffix.Length] : path)
            .Distinct(StringComparer.Ordinal);
        foreach (string leftover in leftovers.ToArray())
        {
            try
            {
                using FileStream held = Hold(leftover);
                if (Directory.Exists(leftover) && await recover(leftover).ConfigureAwait(false))
                {
                    continue;
                }

                if (Path.Exists(leftover) && Remove(leftover))
                {
                    logger.LeftoverRemoved(leftover);
                }
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                logger.LeftoverKept(leftover);
            }
        }
    }

    /// <summary>Never throws for what cannot be removed: the checkpoints are intact, and the warning says so.</summary>
    public bool Remove(string path)
    {
        try
        {
            if (Directory.Exists(path))
            {
                Directory.Delete(path, recursive: true);
            }

            File.Delete(path);
            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            logger.RemovalFailed(exception, path);
            return false;
        }
    }
}
