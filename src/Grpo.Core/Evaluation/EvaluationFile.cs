using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using Grpo.IO;

namespace Grpo.Evaluation;

/// <summary>Reports as JSON: to keep, to read, and to compare a later one with.</summary>
/// <remarks>
/// One indented object: <c>format_version</c>, <c>about</c> (what the caller says of the run) and <c>report</c>, which holds every property
/// of <see cref="EvaluationReport"/> that is not a list of rollouts, in snake case: <c>count</c>, <c>accuracy</c>,
/// <c>accuracy_interval</c> with <c>low</c> and <c>high</c>, <c>lenient_accuracy</c>, <c>difficulties</c>, <c>verdicts</c>, <c>sampled</c>
/// with <c>accuracies</c>, and <c>items</c>, each with <c>id</c>, <c>question</c>, <c>expected</c>, <c>completion</c> (<c>text</c>,
/// <c>tokens</c>, <c>verdict</c>, <c>is_correct</c> …) and <c>samples</c>. Fractions are 0 to 1. It holds no time and no name of a machine:
/// equal evaluations give equal files.
/// </remarks>
public static class EvaluationFile
{
    private const int FormatVersion = 1;
    private const long MaximumBytes = 1L << 30;

    // The default encoder writes < and > as escapes, for pages that embed JSON; here people read completions full of tags.
    private static readonly EvaluationJson Json =
        new(new JsonSerializerOptions(EvaluationJson.Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

    /// <summary>Writes a report. The file appears whole or not at all; one that is there is replaced.</summary>
    /// <param name="path">The file; its folder is made when it is not there.</param>
    /// <param name="report">The report.</param>
    /// <param name="about">What else a reader should know: model, data set, seed. Null: nothing.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="UnauthorizedAccessException">The file must not be written.</exception>
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

    /// <summary>Reads a report back.</summary>
    /// <param name="path">A file that <see cref="Write"/> made, of at most 1 GiB.</param>
    /// <returns>The report, without <see cref="EvaluationReport.Groups"/> and <see cref="EvaluationReport.Rewards"/>.</returns>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">The file is not a report, or one of another version.</exception>
    /// <exception cref="IOException">The file cannot be read.</exception>
    /// <exception cref="UnauthorizedAccessException">The file must not be read.</exception>
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
            throw new FileNotFoundException($"There is no evaluation '{path}'. Write one with EvaluationFile.Write, or with the option --json of eval.", path);
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
                    CultureInfo.InvariantCulture, $"'{path}' has the format version {content.FormatVersion}; this version reads {FormatVersion}."));
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

    // The serializer lets a null through where it stands for an element, and leaves null what a file does not have.
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
