using Grpo.Testing;

namespace Grpo.Fuzz.Tests;

/// <summary>Writes inputs to folders, and creates valid files for the seeds.</summary>
internal static class Folder
{
    // A folder in memory if the system has one, because it is written to hundreds of thousands of times.
    private static readonly string Scratch = Directory.CreateDirectory(
        Path.Combine(Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath(), $"grpo-fuzz-{Guid.NewGuid():N}")).FullName;

    static Folder() => AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(Scratch, recursive: true);

    /// <summary>Returns the folder of a target. The parts of the next input replace the files in it.</summary>
    public static string Of(string target) => Directory.CreateDirectory(Path.Combine(Scratch, target)).FullName;

    /// <summary>Creates a parser that writes an input to a folder and reads it from there.</summary>
    public static Action<FuzzInput> Reading(string target, Action<string> read)
    {
        string folder = Of(target);
        return input =>
        {
            input.WriteTo(folder);
            read(folder);
        };
    }

    /// <summary>Runs an action that writes files, and returns them as an input.</summary>
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
