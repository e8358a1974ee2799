using System.Globalization;
using System.Security.Cryptography;
using System.Text.Json;
using System.Text.Json.Serialization;
using Grpo.IO;
using Microsoft.Win32.SafeHandles;

namespace Grpo.Checkpoints;

/// <summary>A file of a checkpoint, as listed in the manifest.</summary>
/// <param name="Path">The path relative to the checkpoint, with '/' between folders.</param>
/// <param name="Size">The size in bytes.</param>
/// <param name="Sha256">The SHA-256 in lower-case hexadecimal.</param>
internal sealed record CheckpointFile(string Path, long Size, string Sha256);

/// <summary>
/// The content of <c>checkpoint.json</c>, which lists the files of a checkpoint. It is written last, so that a checkpoint without it is
/// known to be incomplete.
/// </summary>
/// <param name="FormatVersion">The version of the format, 1.</param>
/// <param name="Step">The number of steps done.</param>
/// <param name="Files">The files of the checkpoint, ordered by path.</param>
internal sealed record CheckpointManifest(int FormatVersion, long Step, IReadOnlyList<CheckpointFile> Files)
{
    public const string FileName = "checkpoint.json";

    private const int CurrentVersion = 1;
    private const long MaximumBytes = 16 << 20;

    /// <summary>Hashes every file below a folder, flushes it to the disk, and then writes the manifest.</summary>
    /// <exception cref="InvalidOperationException">The folder is empty, or contains a link or a file named as the manifest.</exception>
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

    /// <summary>Returns the step in the manifest of a folder; null if there is no readable manifest.</summary>
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

    /// <summary>Describes the damage of a checkpoint; null if it is complete.</summary>
    /// <param name="folder">The folder of the checkpoint.</param>
    /// <param name="step">The step in the folder's name.</param>
    /// <param name="withHashes">True to read every file and compare its hash, false to compare only sizes.</param>
    /// <param name="cancellationToken">A token that stops reading.</param>
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

            // The serializer accepts null as an element of the list.
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
            return Convert.ToHexStringLower(hash) == file.Sha256
                ? null
                : $"the content of '{TerminalText.EscapeLine(file.Path)}' is not what was saved";
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

    /// <summary>Returns all files below a folder. Links are refused, because their target is not part of the checkpoint.</summary>
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

/// <summary>The serialization of a store's small files, without reflection. It refuses missing and repeated fields.</summary>
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
