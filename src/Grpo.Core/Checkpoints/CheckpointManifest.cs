using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Grpo.IO;
using Microsoft.Win32.SafeHandles;

namespace Grpo.Checkpoints;

/// <summary>One file of a checkpoint.</summary>
/// <param name="Path">Relative to the checkpoint, with '/' between folders.</param>
/// <param name="Size">Bytes.</param>
/// <param name="Sha256">Hexadecimal, lower case.</param>
internal sealed record CheckpointFile(string Path, long Size, string Sha256);

/// <summary>
/// <c>checkpoint.json</c>: what a complete checkpoint consists of. Written last, so that a checkpoint without it is known to be incomplete.
/// </summary>
internal sealed record CheckpointManifest(int FormatVersion, long Step, IReadOnlyList<CheckpointFile> Files)
{
    public const string FileName = "checkpoint.json";

    private const int CurrentVersion = 1;
    private const long MaximumBytes = 16 << 20;

    /// <summary>Hashes every file below a folder, flushes it to the disk, and then writes the manifest.</summary>
    /// <exception cref="InvalidOperationException">The folder is empty, or has a link or a file of the manifest's name in it.</exception>
    public static async Task WriteAsync(string folder, long step)
    {
        List<CheckpointFile> files = [];
        foreach (FileInfo file in Walk(new DirectoryInfo(folder)).OrderBy(file => file.FullName, StringComparer.Ordinal))
        {
            string path = Path.GetRelativePath(folder, file.FullName).Replace(Path.DirectorySeparatorChar, '/');
            if (path == FileName)
            {
                throw new InvalidOperationException(
                    $"The checkpoint of step {Number(step)} holds a file named {FileName}, which the store writes itself. Rename it.");
            }

            var stream = new FileStream(file.FullName, FileMode.Open, FileAccess.ReadWrite, FileShare.Read);
            await using (stream.ConfigureAwait(false))
            {
                byte[] hash = await SHA256.HashDataAsync(stream).ConfigureAwait(false);
                files.Add(new CheckpointFile(path, stream.Length, Convert.ToHexStringLower(hash)));
                stream.Flush(flushToDisk: true);
            }
        }

        if (files.Count == 0)
        {
            throw new InvalidOperationException(
                $"The checkpoint of step {Number(step)} is empty: the callback wrote no file into the folder that it was given.");
        }

        var manifest = new CheckpointManifest(CurrentVersion, step, files);
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(manifest, CheckpointJson.Default.CheckpointManifest);
        using SafeFileHandle handle = File.OpenHandle(Path.Combine(folder, FileName), FileMode.CreateNew, FileAccess.Write);
        RandomAccess.Write(handle, json, 0);
        RandomAccess.FlushToDisk(handle);
    }

    /// <summary>The step that a manifest states; null when there is none that can be read.</summary>
    public static async Task<long?> FindStepAsync(string folder)
    {
        try
        {
            return (await ReadAsync(folder, CancellationToken.None).ConfigureAwait(false)).Step is >= 0 and var step ? step : null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or JsonException)
        {
            return null;
        }
    }

    /// <summary>What is wrong with a checkpoint, or null when it is complete.</summary>
    /// <param name="folder">The checkpoint.</param>
    /// <param name="step">The step that its name states.</param>
    /// <param name="withHashes">Also reads every file; otherwise only its size is compared.</param>
    /// <param name="cancellationToken">Stops reading.</param>
    public static async Task<string?> FindProblemAsync(string folder, long step, bool withHashes, CancellationToken cancellationToken)
    {
        try
        {
            CheckpointManifest manifest = await ReadAsync(folder, cancellationToken).ConfigureAwait(false);
            if (manifest.FormatVersion != CurrentVersion)
            {
                return $"its format version is {Number(manifest.FormatVersion)}; this version reads {Number(CurrentVersion)}";
            }

            if (manifest.Step != step)
            {
                return $"its manifest is of step {Number(manifest.Step)}";
            }

            // The serializer lets a null through where it stands for an element.
            foreach (CheckpointFile? file in manifest.Files)
            {
                if (await FindProblemAsync(folder, file, withHashes, cancellationToken).ConfigureAwait(false) is { } problem)
                {
                    return problem;
                }
            }

            return null;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or JsonException)
        {
            return TerminalText.EscapeLine(exception.Message.TrimEnd('.'));
        }
    }

    private static async Task<string?> FindProblemAsync(
        string folder, CheckpointFile? file, bool withHashes, CancellationToken cancellationToken)
    {
        if (file is null || !StaysInside(file.Path))
        {
            return $"its manifest names a file outside the checkpoint: '{TerminalText.EscapeLine(file?.Path)}'";
        }

        var info = new FileInfo(Path.Combine(folder, file.Path));
        if (!info.Exists)
        {
            return $"'{TerminalText.EscapeLine(file.Path)}' is missing";
        }

        if (info.Length != file.Size)
        {
            return $"'{TerminalText.EscapeLine(file.Path)}' has {Number(info.Length)} bytes instead of {Number(file.Size)}";
        }

        if (!withHashes)
        {
            return null;
        }

        FileStream stream = info.OpenRead();
        await using (stream.ConfigureAwait(false))
        {
            byte[] hash = await SHA256.HashDataAsync(stream, cancellationToken).ConfigureAwait(false);
            return Convert.ToHexStringLower(hash) == file.Sha256 ? null : $"the content of '{TerminalText.EscapeLine(file.Path)}' is not what was saved";
        }
    }

    private static async Task<CheckpointManifest> ReadAsync(string folder, CancellationToken cancellationToken)
    {
        var info = new FileInfo(Path.Combine(folder, FileName));
        if (!info.Exists)
        {
            throw new FileNotFoundException($"it has no {FileName}, so it was not completed");
        }

        if (info.Length > MaximumBytes)
        {
            throw new IOException($"its {FileName} has {Number(info.Length)} bytes; the limit is {Number(MaximumBytes)}");
        }

        FileStream stream = info.OpenRead();
        await using (stream.ConfigureAwait(false))
        {
            CheckpointManifest? manifest = await JsonSerializer
                .DeserializeAsync(stream, CheckpointJson.Default.CheckpointManifest, cancellationToken).ConfigureAwait(false);
            return manifest ?? throw new JsonException($"its {FileName} is null");
        }
    }

    /// <summary>All files. Links are refused: what they point to is not part of the checkpoint and could change or vanish.</summary>
    private static IEnumerable<FileInfo> Walk(DirectoryInfo folder)
    {
        foreach (FileSystemInfo item in folder.EnumerateFileSystemInfos())
        {
            if (item.LinkTarget is not null)
            {
                throw new InvalidOperationException(
                    $"'{item.FullName}' is a link; a checkpoint must hold its files itself. Copy the file.");
            }

            foreach (FileInfo file in item is DirectoryInfo inner ? Walk(inner) : [(FileInfo)item])
            {
                yield return file;
            }
        }
    }

    private static bool StaysInside(string path) =>
        path.Length > 0 && !path.AsSpan().ContainsAny('\\', ':', '\0') && !path.Split('/').Any(part => part is "" or "." or "..");

    private static string Number(long value) => value.ToString(CultureInfo.InvariantCulture);
}

/// <summary>Reads and writes the small files of a checkpoint without reflection; refuses missing and repeated fields.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    WriteIndented = true,
    NewLine = "\n",
    MaxDepth = 8,
    AllowDuplicateProperties = false,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(CheckpointManifest))]
[JsonSerializable(typeof(BestMark))]
internal sealed partial class CheckpointJson : JsonSerializerContext;
