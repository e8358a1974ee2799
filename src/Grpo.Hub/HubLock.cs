namespace Grpo.Hub;

/// <summary>The lock files of Python's huggingface_hub, with which processes download a file one at a time.</summary>
internal static class HubLock
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(250);

    /// <summary>Waits for the lock; disposing the result releases it. The empty file stays, as in Python.</summary>
    public static async Task<IDisposable> AcquireAsync(string path, Action onWait, CancellationToken cancellationToken)
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

    // A sharing violation of Windows; EWOULDBLOCK of Linux and of macOS. Other errors (a full or read-only disk) do not pass.
    private static bool IsTaken(IOException e) => e.HResult is unchecked((int)0x80070020) or 11 or 35;
}
