using System.Text.Json;
using System.Text.Json.Serialization;

namespace Grpo.IO;

/// <summary>
/// The content of <c>log_counts.json</c>: how many lines the logs had at a checkpoint. A resumed run tells from it whether lines are lost.
/// </summary>
/// <param name="Metrics">The number of lines of metrics.jsonl.</param>
/// <param name="Completions">The number of lines of completions.jsonl.</param>
internal sealed record LogCounts(long Metrics, long Completions)
{
    private const string FileName = "log_counts.json";
    private const long MaxBytes = 1 << 16;

    /// <summary>Writes the counts into a checkpoint. If a run has two loggers, the smaller counts are kept.</summary>
    /// <param name="directory">The folder of the checkpoint.</param>
    public void Write(string directory)
    {
        LogCounts other = Read(directory) ?? this;
        var least = new LogCounts(Math.Min(Metrics, other.Metrics), Math.Min(Completions, other.Completions));
        File.WriteAllBytes(Path.Combine(directory, FileName), JsonSerializer.SerializeToUtf8Bytes(least, LogCountsJson.Default.LogCounts));
    }

    /// <summary>Reads the counts of a checkpoint; null if it has none, or none that can be read.</summary>
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
            return null; // nothing to compare with
        }
    }
}

/// <summary>Reads and writes <see cref="LogCounts"/> without reflection.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(LogCounts))]
internal sealed partial class LogCountsJson : JsonSerializerContext;
