using System.Globalization;
using System.Text.Json;
using Grpo.IO;
using Microsoft.Win32.SafeHandles;

namespace Grpo.Checkpoints;

/// <summary>
/// The content of <c>best.json</c>, which names the best checkpoint of a store. It is written to a temporary file and renamed, so that it
/// is never incomplete.
/// </summary>
/// <param name="FormatVersion">The version of the format, 1.</param>
/// <param name="Step">The number of steps done, which identifies the checkpoint.</param>
/// <param name="Folder">The name of the checkpoint's folder, for human readers.</param>
internal sealed record BestMark(int FormatVersion, long Step, string Folder)
{
    public const string FileName = "best.json";

    private const int CurrentVersion = 1;
    private const long MaximumBytes = 1 << 16;

    /// <summary>Writes the mark, atomically.</summary>
    /// <param name="root">The folder of the checkpoints.</param>
    /// <param name="temporary">A path in that folder that nothing else uses.</param>
    /// <param name="step">The number of steps done.</param>
    /// <param name="folder">The name of the checkpoint's folder.</param>
    public static void Write(string root, string temporary, long step, string folder)
    {
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(new BestMark(CurrentVersion, step, folder), CheckpointJson.Default.BestMark);
        try
        {
            using (SafeFileHandle handle = File.OpenHandle(temporary, FileMode.CreateNew, FileAccess.Write))
            {
                RandomAccess.Write(handle, json, 0);
                RandomAccess.FlushToDisk(handle);
            }

            File.Move(temporary, Path.Combine(root, FileName), overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    /// <summary>Returns the marked step, null if there is no mark, or a problem if the mark cannot be read.</summary>
    public static (long? Step, string? Problem) Read(string root)
    {
        var file = new FileInfo(Path.Combine(root, FileName));
        if (!file.Exists)
        {
            return (null, null);
        }

        try
        {
            if (file.Length > MaximumBytes)
            {
                return (null, string.Create(CultureInfo.InvariantCulture, $"it has {file.Length} bytes; the limit is {MaximumBytes}"));
            }

            BestMark? mark = JsonSerializer.Deserialize(File.ReadAllBytes(file.FullName), CheckpointJson.Default.BestMark);
            return mark switch
            {
                null => (null, "it holds null"),
                { FormatVersion: not CurrentVersion } =>
                    (null, string.Create(
                        CultureInfo.InvariantCulture, $"its format version is {mark.FormatVersion}; this version reads {CurrentVersion}")),
                { Step: < 0 } => (null, string.Create(CultureInfo.InvariantCulture, $"its step is {mark.Step}")),
                _ => (mark.Step, null),
            };
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or JsonException)
        {
            return (null, TerminalText.EscapeLine(exception.Message.TrimEnd('.')));
        }
    }
}
