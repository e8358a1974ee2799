using System.Diagnostics;
using System.Globalization;
using Grpo.IO;

namespace Grpo.Checkpoints;

/// <summary>
/// The lock of a folder of checkpoints: <c>.run.lock</c>, which the run that writes into the folder holds open. The system releases it when
/// the process ends, so a crash leaves no lock; the file itself stays. <c>.run.owner</c> describes the holder.
/// </summary>
internal sealed class RunLock : IDisposable
{
    public const string FileName = ".run.lock";
    public const string OwnerFileName = ".run.owner";

    private const int MaxOwnerBytes = 1024;

    private readonly FileStream _file;
    private readonly string _owner;

    private RunLock(FileStream file, string owner) => (_file, _owner) = (file, owner);

    /// <summary>Called when the lock is released.</summary>
    public Action? OnDispose { get; init; }

    /// <summary>Acquires the lock of a folder, which is created if it is missing.</summary>
    /// <exception cref="IOException">Another run holds the lock, and the message names it; or the folder cannot be written to.</exception>
    public static RunLock Acquire(string root, Action onDispose)
    {
        string path = Path.Combine(root, FileName), owner = Path.Combine(root, OwnerFileName);
        FileStream file;
        try
        {
            Directory.CreateDirectory(root);
            file = new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, bufferSize: 0);
        }
        catch (IOException exception) when (IsHeld(exception))
        {
            throw new IOException(
                $"The checkpoints in '{root}' belong to a run that is under way: {ReadOwner(owner)}. "
                + "Two runs in one folder would overwrite each other. Wait until it ends, stop it, or choose another folder.", exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            string remedy = WriteFailure.Remedy(exception, root, "Choose a folder that can be written to.");
            throw new IOException($"Cannot save checkpoints in '{root}': {exception.Message} {remedy}", exception);
        }

        try
        {
            File.WriteAllText(owner, Describe());
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // The lock itself is held; only its description is missing, as on a full disk.
        }

        return new RunLock(file, owner) { OnDispose = onDispose };
    }

    public void Dispose()
    {
        // The lock file stays: another process may have opened it and be about to lock it, and would then hold a file without a name.
        try
        {
            File.Delete(_owner);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // The description is outdated, which has no effect: only the lock decides.
        }

        _file.Dispose();
        OnDispose?.Invoke();
    }

    private static string Describe()
    {
        using Process process = Process.GetCurrentProcess();
        return string.Create(CultureInfo.InvariantCulture,
            $"process {Environment.ProcessId} ({process.ProcessName}) on {Environment.MachineName}, since "
            + $"{DateTime.UtcNow:yyyy-MM-dd HH:mm:ss} UTC");
    }

    private static string ReadOwner(string path)
    {
        try
        {
            using FileStream file = File.OpenRead(path);
            var text = new byte[Math.Min(file.Length, MaxOwnerBytes)];
            file.ReadExactly(text);
            string owner = TerminalText.EscapeLine(System.Text.Encoding.UTF8.GetString(text));
            return owner.Length == 0 ? "a process that did not say its name" : owner;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return "a process that did not say its name";
        }
    }

    // ERROR_SHARING_VIOLATION and ERROR_LOCK_VIOLATION; EWOULDBLOCK of Linux and of macOS.
    internal static bool IsHeld(IOException exception) => OperatingSystem.IsWindows()
        ? (exception.HResult & 0xFFFF) is 32 or 33
        : exception.HResult is 11 or 35;
}
