namespace Grpo.Hub;

/// <summary>One process at a time on one file: the lock files of Python's huggingface_hub, so that both wait for each other.</summary>
internal static class HubLock
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(250);

    /// <summary>Waits for the lock; disposing the result releases it. The empty file stays, as Python's does.</summary>
    public static async Task<IDisposable> TakeAsync(string path, Action onWait, CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        for (bool isFirst = true; ; isFirst = false)
        {
            try
            {
                return new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException e) when (IsTaken(e))
            {
                if (isFirst)
                {
                    onWait();
                }

                await Task.Delay(Poll, cancellationToken).ConfigureAwait(false);
            }
        }
    }

    // Windows' sharing violation; EWOULDBLOCK of Linux and of macOS. Anything else (a full or read-only disk) would never pass.
    private static bool IsTaken(IOException e) => e.HResult is unchecked((int)0x80070020) or 11 or 35;
}
