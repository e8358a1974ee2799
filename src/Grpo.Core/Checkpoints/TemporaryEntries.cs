using Microsoft.Extensions.Logging;

namespace Grpo.Checkpoints;

/// <summary>Names, locks and cleans up the unfinished files and folders of a checkpoint store.</summary>
/// <param name="root">The folder of the checkpoints.</param>
/// <param name="logger">Receives a message for each entry that was removed or kept.</param>
internal sealed class TemporaryEntries(string root, ILogger logger)
{
    private const string Prefix = ".tmp-";
    private const string LockSuffix = ".lock";

    /// <summary>Creates an unused path for a temporary entry.</summary>
    public string NewPath() => Path.Combine(root, $"{Prefix}{Guid.NewGuid():N}");

    /// <summary>Locks an entry while a process works in it. The system releases the lock when the process dies.</summary>
    public static FileStream Hold(string temporary) =>
        new(temporary + LockSuffix, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0, FileOptions.DeleteOnClose);

    /// <summary>Removes the entries that a crashed process left behind.</summary>
    /// <param name="recover">Called first for each folder; returns true if it used the folder and moved it away.</param>
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

    /// <summary>Removes a file or folder. A failure is logged and not thrown, since the checkpoints are intact.</summary>
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
