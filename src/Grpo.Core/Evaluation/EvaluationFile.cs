using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using Grpo.IO;

namespace Grpo.Evaluation;

/// <summary>Writes and reads evaluation reports as JSON files, to keep them and to compare later evaluations with them.</summary>
/// <remarks>
/// The file is one indented object with <c>format_version</c>, <c>about</c> (facts that the caller gives) and <c>report</c>. The report has
/// the properties of <see cref="EvaluationReport"/> in snake case, without the rollouts: <c>count</c>, <c>accuracy</c>,
/// <c>accuracy_interval</c> with <c>low</c> and <c>high</c>, <c>lenient_accuracy</c>, <c>difficulties</c>, <c>verdicts</c>, <c>sampled</c>
/// with <c>accuracies</c>, and <c>items</c>. Each item has <c>id</c>, <c>question</c>, <c>expected</c>, <c>completion</c> (<c>text</c>,
/// <c>tokens</c>, <c>verdict</c>, <c>is_correct</c> …) and <c>samples</c>. Fractions are 0 to 1. The file contains no time and no machine
/// name, so equal evaluations give equal files.
/// </remarks>
public static class EvaluationFile
{
    private const int FormatVersion = 1;
    private const long MaximumBytes = 1L << 30;

    // The default encoder escapes < and > for pages that embed JSON. People read this file, and completions are full of tags.
    private static readonly EvaluationJson Json =
        new(new JsonSerializerOptions(EvaluationJson.Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    /// <summary>Writes a report to a file, atomically. An existing file is replaced.</summary>
    /// <param name="path">The path of the file. Its folder is created if it is missing.</param>
    /// <param name="report">The report.</param>
    /// <param name="about">Further facts for readers, such as model, data set and seed. Null for none.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">Access to the file is denied.</exception>
    public static void Write(string path, EvaluationReport report, IReadOnlyDictionary<string, string>? about = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        ArgumentNullException.ThrowIfNull(report);
        string target = Path.GetFullPath(path);
        if (Directory.Exists(target))
        {
            throw new IOException($"'{path}' is a folder. Name a file: {Path.Combine(path, "evaluation.json")}, for example.");
        }

        string temporary = $"{target}.{Guid.NewGuid():N}.tmp";
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            using (var stream = new FileStream(temporary, FileMode.CreateNew, FileAccess.Write))
            {
                var content = new EvaluationFileContent(FormatVersion, about ?? new Dictionary<string, string>(), report);
                JsonSerializer.Serialize(stream, content, Json.EvaluationFileContent);
                stream.WriteByte((byte)'\n');
                stream.Flush(flushToDisk: true);
            }

            File.Move(temporary, target, overwrite: true);
        }
        catch (IOException exception)
        {
            string remedy = WriteFailure.Remedy(exception, target, "Choose another file.");
            throw new IOException($"The evaluation '{path}' cannot be written: {exception.Message} {remedy}", exception);
        }
        finally
        {
            if (File.Exists(temporary))
            {
                File.Delete(temporary);
            }
        }
    }

    /// <summary>Reads a report from a file.</summary>
    /// <param name="path">The path of a file that <see cref="Write"/> wrote, of at most 1 GiB.</param>
    /// <returns>The report, without <see cref="EvaluationReport.Groups"/> and <see cref="EvaluationReport.Rewards"/>.</returns>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="InvalidDataException">The file is not a report, or has another format version.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">Access to the file is denied.</exception>
    public static EvaluationReport Read(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var info = new FileInfo(path);
        if (Directory.Exists(path))
        {
            throw new FileNotFoundException($"'{path}' is a folder. Name the file in it that is an evaluation.", path);
        }

        if (!info.Exists)
        {
            throw new FileNotFoundException(
                $"There is no evaluation '{path}'. Write one with EvaluationFile.Write, or with the option --json of eval.", path);
        }

        if (info.Length > MaximumBytes)
        {
            throw new InvalidDataException(string.Create(
                CultureInfo.InvariantCulture, $"'{path}' has {info.Length} bytes; an evaluation has at most {MaximumBytes}."));
        }

        try
        {
            using FileStream stream = info.OpenRead();
            EvaluationFileContent content = JsonSerializer.Deserialize(stream, Json.EvaluationFileContent)
                ?? throw new InvalidDataException($"'{path}' is not an evaluation: it is null.");
            if (content.FormatVersion != FormatVersion)
            {
                throw new InvalidDataException(string.Create(
                    CultureInfo.InvariantCulture,
                    $"'{path}' has the format version {content.FormatVersion}; this version reads {FormatVersion}."));
            }

            return FindProblem(content) is { } problem
                ? throw new InvalidDataException($"'{path}' is not an evaluation: {problem}.")
                : content.Report;
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"'{path}' is not an evaluation: {TerminalText.EscapeLine(exception.Message)}", exception);
        }
    }

    // The serializer accepts null as an element of a list, and leaves properties null that are missing in the file.
    private static string? FindProblem(EvaluationFileContent content)
    {
        EvaluationReport report = content.Report;
        return content.About.Values.Any(text => text is null) ? "a text of 'about' is null"
            : FindHole(report.Items, "items")
            ?? report.Items.Select(item => FindHole(item.Samples, "samples")).FirstOrDefault(hole => hole is not null)
            ?? FindHole(report.Difficulties, "difficulties") ?? (report.Verdicts is null ? "it has no 'verdicts'" : null)
            ?? FindHole(report.Sampled is { } sampled ? sampled.Accuracies : [], "accuracies")
            ?? (report.Sampled is { Verdicts: null } ? "its samples have no 'verdicts'" : null)
            ?? (report.Count < 0 ? "its count is negative" : null)
            ?? (report.Accuracy is < 0 or > 1 || report.LenientAccuracy is < 0 or > 1 ? "an accuracy is outside 0 to 1" : null)
            ?? (report.Confidence is > 0 and < 1 ? null : "its confidence is not between 0 and 1");
    }

    private static string? FindHole<T>(IReadOnlyList<T>? list, string name) =>
        list is null ? $"it has no '{name}'" : list.Any(element => element is null) ? $"its '{name}' have a null in them" : null;
}

/// <summary>The outermost object of the file.</summary>
/// <param name="FormatVersion">The version of the format.</param>
/// <param name="About">The facts that the caller gave.</param>
/// <param name="Report">The report.</param>
internal sealed record EvaluationFileContent(int FormatVersion, IReadOnlyDictionary<string, string> About, EvaluationReport Report);

/// <summary>The serialization of the file: indented, and with NaN as a string because JSON has none.</summary>
[JsonSourceGenerationOptions(
    WriteIndented = true,
    NewLine = "\n",
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower,
    UseStringEnumConverter = true,
    NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(EvaluationFileContent))]
internal sealed partial class EvaluationJson : JsonSerializerContext;
