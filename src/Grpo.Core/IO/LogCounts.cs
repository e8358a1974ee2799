using System.Text.Json;
using System.Text.Json.Serialization;

namespace Grpo.IO;

/// <summary><c>log_counts.json</c>: the lines that the logs had when a checkpoint was written, to tell whether some are lost.</summary>
/// <param name="Metrics">Lines of metrics.jsonl.</param>
/// <param name="Completions">Lines of completions.jsonl.</param>
internal sealed record LogCounts(long Metrics, long Completions)
{
    private const string FileName = "log_counts.json";
    private const long MaxBytes = 1 << 16;

    /// <summary>Writes the counts into a checkpoint. Of two loggers of one run the smaller counts are kept.</summary>
    /// <param name="directory">The folder of the checkpoint.</param>
    public void Write(string directory)
    {
        LogCounts other = Read(directory) ?? this;
        var least = new LogCounts(Math.Min(Metrics, other.Metrics), Math.Min(Completions, other.Completions));
        File.WriteAllBytes(Path.Combine(directory, FileName), JsonSerializer.SerializeToUtf8Bytes(least, LogCountsJson.Default.LogCounts));
    }

    /// <summary>Reads the counts of a checkpoint; null where there are none that can be read.</summary>
    /// <param name="directory">The folder of the checkpoint.</param>
    public static LogCounts? Read(string directory)
    {
        var file = new FileInfo(Path.Combine(directory, FileName));
        try
        {
            return file.Exists && file.Length <= MaxBytes
                ? JsonSerializer.Deserialize(File.ReadAllBytes(file.FullName), LogCountsJson.Default.LogCounts)
                : null;
        }
        catch (JsonException)
        {
            return null; // there is nothing to compare with
        }
    }
}

/// <summary>Reads and writes <see cref="LogCounts"/> without reflection.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(LogCounts))]
internal sealed partial class LogCountsJson : JsonSerializerContext;
