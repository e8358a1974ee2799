using System.IO.Enumeration;
using Grpo.IO;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Text;
using Grpo.Models.Qwen.Weights;

namespace Grpo.Models.Qwen.Export;

/// <summary>The checked destination of an export.</summary>
internal sealed class ExportTarget
{
    private const string GgufEnding = ".gguf";

    private readonly bool _overwrite;

    private ExportTarget(string path, ExportFormat format, ExportType type, bool overwrite)
    {
        Path = path;
        Format = format;
        Type = type;
        _overwrite = overwrite;
    }

    /// <summary>The full path of the folder or, for GGUF, of the file.</summary>
    internal string Path { get; }

    /// <summary>The file format.</summary>
    internal ExportFormat Format { get; }

    /// <summary>The type of the matrices.</summary>
    internal ExportType Type { get; }

    /// <summary>Checks a destination before anything is read.</summary>
    /// <exception cref="ArgumentException">The destination and the options contradict each other.</exception>
    /// <exception cref="IOException">The destination exists and may not be replaced.</exception>
    internal static ExportTarget Create(string destination, ExportOptions options)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(destination);
        ExportType type = options.TypeOrDefault;
        if (!Enum.IsDefined(options.Format) || !Enum.IsDefined(type))
        {
            throw new ArgumentException($"Format is {options.Format} and Type {type}; take values of the two enums.", nameof(options));
        }

        bool isGgufFile = destination.EndsWith(GgufEnding, StringComparison.OrdinalIgnoreCase);
        if (options.Format == ExportFormat.Safetensors && (isGgufFile || type == ExportType.Q8))
        {
            throw new ArgumentException(
                isGgufFile
                    ? $"The destination '{destination}' is a GGUF file but the format is {options.Format}. "
                        + $"Set the format to {ExportFormat.Gguf}, or name a folder."
                    : $"The type {type} is for GGUF files only; for safetensors take Float32, BFloat16 or Float16.",
                nameof(options));
        }

        string path = System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(destination));
        if (options.Format == ExportFormat.Gguf && !isGgufFile)
        {
            path = System.IO.Path.Combine(path, $"model-{GgufFile.NameOf(type)}{GgufEnding}");
        }

        var target = new ExportTarget(path, options.Format, type, options.Overwrite);
        target.RequireFree();
        return target;
    }

    /// <summary>Refuses to write over the files that are read.</summary>
    /// <exception cref="ArgumentException">The destination is the source.</exception>
    internal void RequireElsewhere(string source, string? adapter)
    {
        StringComparison comparison = OperatingSystem.IsLinux() ? StringComparison.Ordinal : StringComparison.OrdinalIgnoreCase;
        foreach (string folder in adapter is null ? [source] : new[] { source, adapter })
        {
            if (Path.Equals(System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(folder)), comparison))
            {
                throw new ArgumentException($"The export would replace its own source, '{folder}'. Name another folder.");
            }
        }
    }

    /// <summary>Creates the folder of the destination and returns a path beside it, on the same disk.</summary>
    internal string BeginTemporary()
    {
        string parent = System.IO.Path.GetDirectoryName(Path)
            ?? throw new ArgumentException($"'{Path}' is the root of a disk. Name a folder below it.");
        Directory.CreateDirectory(parent);
        string temporary = System.IO.Path.Combine(parent, $".{System.IO.Path.GetFileName(Path)}.{Guid.NewGuid():N}.tmp");
        if (Format == ExportFormat.Safetensors)
        {
            Directory.CreateDirectory(temporary);
        }

        return temporary;
    }

    /// <summary>Moves a complete export to its name.</summary>
    internal void Complete(string temporary)
    {
        RequireFree();
        if (Format == ExportFormat.Gguf)
        {
            File.Move(temporary, Path, _overwrite);
        }
        else if (!Directory.Exists(Path))
        {
            Directory.Move(temporary, Path);
        }
        else
        {
            Replace(temporary);
        }
    }

    /// <summary>Deletes what is left of an export that failed.</summary>
    internal static void Remove(string temporary)
    {
        try
        {
            if (Directory.Exists(temporary))
            {
                Directory.Delete(temporary, recursive: true);
            }
            else
            {
                File.Delete(temporary);
            }
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // The error that led here is the one to report.
        }
    }

    // Weights of an earlier export that the new index does not name, or a template of its own, would be taken for the new model's.
    private void Replace(string temporary)
    {
        foreach (string name in Names(Path).Where(IsOfModel))
        {
            if (!File.Exists(System.IO.Path.Combine(temporary, name)))
            {
                File.Delete(System.IO.Path.Combine(Path, name));
            }
        }

        foreach (string name in Names(temporary))
        {
            string path = System.IO.Path.Combine(Path, name);
            Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
            File.Move(System.IO.Path.Combine(temporary, name), path, overwrite: true);
        }
    }

    // The files of a model: those directly in its folder, and the template for tools.
    private static string[] Names(string folder) =>
    [
        .. Directory.EnumerateFiles(folder).Select(path => System.IO.Path.GetFileName(path)),
        .. File.Exists(System.IO.Path.Combine(folder, TokenizerFiles.ToolTemplate)) ? [TokenizerFiles.ToolTemplate] : Array.Empty<string>(),
    ];

    private static bool IsOfModel(string name) =>
        name is DecoderConfigFile.FileName or "model.safetensors" or "model.safetensors.index.json" || TokenizerFiles.IsName(name)
        || FileSystemName.MatchesSimpleExpression("model-*-of-*.safetensors", name, ignoreCase: false);

    private void RequireFree()
    {
        string shown = TerminalText.EscapeLine(Path);
        if (Format == ExportFormat.Gguf ? Directory.Exists(Path) : File.Exists(Path))
        {
            throw new IOException($"'{shown}' is a {(Format == ExportFormat.Gguf ? "folder" : "file")}. Name another destination.");
        }

        if (Format == ExportFormat.Safetensors && Directory.Exists(Path) && LoraAdapterFiles.IsAdapter(Path))
        {
            throw new IOException($"'{shown}' holds an adapter; export the model to a folder of its own.");
        }

        bool isTaken = Format == ExportFormat.Gguf
            ? File.Exists(Path)
            : Directory.Exists(Path) && Directory.EnumerateFileSystemEntries(Path).Any();
        if (isTaken && !_overwrite)
        {
            throw new IOException(
                $"'{shown}' {(Format == ExportFormat.Gguf ? "exists" : "exists and is not empty")}. Name another destination, or allow to "
                + $"replace the model in it ({nameof(ExportOptions)}.{nameof(ExportOptions.Overwrite)}, --overwrite).");
        }
    }
}
