using Grpo.Testing;

namespace Grpo.Fuzz.Tests;

/// <summary>The folder into which every input is written, and valid files for the seeds.</summary>
internal static class Folder
{
    // In memory where the system has such a folder: it is written to some hundred thousand times.
    private static readonly string Scratch = Directory.CreateDirectory(
        Path.Combine(Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath(), $"grpo-fuzz-{Guid.NewGuid():N}")).FullName;

    static Folder() => AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(Scratch, recursive: true);

    /// <summary>A folder of its own for a target; the parts of an input replace each other there.</summary>
    public static string Of(string target) => Directory.CreateDirectory(Path.Combine(Scratch, target)).FullName;

    /// <summary>Reads an input from a folder.</summary>
    public static Action<FuzzInput> Reading(string target, Action<string> read)
    {
        string folder = Of(target);
        return input =>
        {
            input.WriteTo(folder);
            read(folder);
        };
    }

    /// <summary>The files that an action writes, as an input.</summary>
    public static FuzzInput Written(Action<string> write)
    {
        using var folder = new TemporaryFolder();
        write(folder.Path);
        return new FuzzInput([.. Directory.GetFiles(folder.Path).Order(StringComparer.Ordinal).Select(file => new FuzzPart(
            Path.GetFileName(file),
            Path.GetExtension(file) switch
            {
                ".json" or ".jsonl" => PartFormat.Json,
                ".safetensors" => PartFormat.Safetensors,
                ".parquet" => PartFormat.Parquet,
                _ => PartFormat.Bytes,
            },
            File.ReadAllBytes(file)))]);
    }
}
