using System.Globalization;
using System.Text;
using Grpo.Evaluation;

namespace Grpo.Core.Tests.Evaluation;

/// <summary>Whatever a file holds, <see cref="EvaluationFile.Read"/> gives a report or one of the exceptions that it documents.</summary>
public sealed class EvaluationFileDamageTests : IDisposable
{
    private const string Whole = """
        {"count": 1, "accuracy": 1, "confidence": 0.95, "verdicts": {}, "difficulties": [], "items": [
            {"id": "a", "question": "b", "completion": {"text": "c", "tokens": 1}, "samples": []}]}
        """;

    private static readonly string[] Tokens = ["null", "{", "}", "[", "]", "\"", "\\ud83d", "-", "1e999", ",", "NaN", "true", ":"];

    private readonly Grpo.Testing.TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    // What a report may leave out, and what it may not.
    [Theory]
    [InlineData(Whole, true)]
    [InlineData("""{"count": 0, "confidence": 0.9, "verdicts": {}, "difficulties": [], "items": [], "mean_reward": "NaN"}""", true)]
    [InlineData("""{"count": 1}""", false)]
    [InlineData("""{"count": 1, "items": [], "verdicts": {}, "confidence": 0.9}""", false)]
    [InlineData("""{"count": 1, "items": [], "verdicts": {}, "difficulties": [], "sampled": {"samples_per_prompt": 2}}""", false)]
    [InlineData("""{"count": 1, "items": [{"id": "a", "question": "b", "completion": {"text": "c", "tokens": 1}}]}""", false)]
    [InlineData("""{"count": 1, "items": [], "verdicts": {}, "difficulties": []}""", false)] // no confidence
    [InlineData("""{"count": 1, "items": null}""", false)]
    [InlineData("""{"count": 1, "verdicts": null}""", false)]
    [InlineData("""{"count": 1, "sampled": {"samples_per_prompt": 2, "accuracies": null}}""", false)]
    [InlineData("""{"count": 1, "items": [{"id": "a", "question": "b", "completion": null}]}""", false)]
    [InlineData("""{"count": 1, "items": [{"id": null, "question": "b", "completion": {"text": "c", "tokens": 1}}]}""", false)]
    [InlineData("""{"count": 1, "items": [{"id": "a", "question": "b", "completion": {"text": "\ud83d", "tokens": 1}}]}""", false)]
    [InlineData("""{"count": 1, "verdicts": {"\ud83d": 1}}""", false)]
    [InlineData("""{"count": 1, "\ud83d": 1}""", false)]
    [InlineData("""{"count": 1, "difficulties": [null]}""", false)]
    [InlineData("""{"count": 1e99}""", false)]
    [InlineData("""{"count": "x"}""", false)]
    [InlineData("""{"count": 1, "items": [{"id": "a", "question": "b", "completion": {"text": "c", "finish_reason": "None"}}]}""", false)]
    [InlineData("""{"count": 1, "items": [{"id": "a", "question": "b", "completion": {"text": "c", "finish_reason": 77}}]}""", false)]
    [InlineData("""{"count": -1}""", false)]
    [InlineData("""{"count": 1, "accuracy": 1.5}""", false)]
    public void Read_gives_a_report_or_says_what_it_is_not(string report, bool isReport)
    {
        string path = _folder["evaluation.json"];
        File.WriteAllText(path, "{\"format_version\": 1, \"about\": {}, \"report\": " + report + "}");
        if (isReport)
        {
            EvaluationReport read = EvaluationFile.Read(path);
            EvaluationFile.Write(_folder["again.json"], read); // every list is there
            Assert.Equal(read.Count, read.Items.Count);
        }
        else
        {
            string message = Assert.Throws<InvalidDataException>(() => EvaluationFile.Read(path)).Message;
            Assert.StartsWith($"'{path}' is not an evaluation: ", message, StringComparison.Ordinal);
        }
    }

    // A part of a whole report, and what it is replaced by.
    [Theory]
    [InlineData("\"count\": 1", "\"count\": -1", "its count is negative")]
    [InlineData("\"accuracy\": 1", "\"accuracy\": 1.5", "an accuracy is outside 0 to 1")]
    [InlineData("\"accuracy\": 1", "\"lenient_accuracy\": -0.5", "an accuracy is outside 0 to 1")]
    [InlineData("\"confidence\": 0.95", "\"confidence\": 1", "its confidence is not between 0 and 1")]
    [InlineData("\"items\": [", "\"items\": [null, ", "its 'items' have a null in them")]
    [InlineData("\"samples\": []", "\"samples\": [null]", "its 'samples' have a null in them")]
    [InlineData("\"difficulties\": [], ", "", "it has no 'difficulties'")]
    [InlineData("\"difficulties\": []", "\"difficulties\": [null]", "its 'difficulties' have a null in them")]
    [InlineData("\"verdicts\": {}, ", "", "it has no 'verdicts'")]
    [InlineData("\"accuracy\": 1", "\"sampled\": {\"samples_per_prompt\": 2, \"verdicts\": {}}", "it has no 'accuracies'")]
    [InlineData(
        "\"accuracy\": 1", "\"sampled\": {\"samples_per_prompt\": 2, \"verdicts\": {}, \"accuracies\": [null]}",
        "its 'accuracies' have a null in them")]
    [InlineData(
        "\"accuracy\": 1", "\"sampled\": {\"samples_per_prompt\": 2, \"accuracies\": []}", "its samples have no 'verdicts'")]
    public void Read_says_what_is_wrong_in_a_report_that_is_otherwise_whole(string right, string wrong, string problem)
    {
        string path = _folder["evaluation.json"], report = Whole.Replace(right, wrong, StringComparison.Ordinal);
        Assert.NotEqual(Whole, report);
        File.WriteAllText(path, "{\"format_version\": 1, \"about\": {}, \"report\": " + report + "}");
        Assert.Equal(
            $"'{path}' is not an evaluation: {problem}.", Assert.Throws<InvalidDataException>(() => EvaluationFile.Read(path)).Message);
    }

    [Theory]
    [InlineData("""{"format_version": 1, "about": {"a": null}, "report": {"count": 1}}""")]
    [InlineData("""{"format_version": 1, "about": null, "report": {"count": 1}}""")]
    [InlineData("""{"format_version": 1, "about": {"a": "\ud83d"}, "report": {"count": 1}}""")]
    [InlineData("""{"format_version": 99999999999, "about": {}, "report": {"count": 1}}""")]
    [InlineData("""{"format_version": 1, "about": {}, "report": {"count": 1}} x""")]
    [InlineData("\u0000\u0000\u0000\u0000")]
    public void Read_refuses_a_broken_envelope(string text)
    {
        File.WriteAllText(_folder["evaluation.json"], text);
        Assert.Throws<InvalidDataException>(() => EvaluationFile.Read(_folder["evaluation.json"]));
    }

    [Fact]
    public void Read_names_a_folder_that_is_given_for_a_file() => Assert.Contains(
        "is a folder", Assert.Throws<FileNotFoundException>(() => EvaluationFile.Read(_folder.Path)).Message, StringComparison.Ordinal);

    // A byte of a whole file is changed, removed or repeated, or the file is cut: 1,000 damaged files.
    [Fact]
    public async Task Read_throws_nothing_else_whatever_byte_is_wrong()
    {
        EvaluationFile.Write(
            _folder["evaluation.json"],
            await Judged.EvaluateAsync(Judged.Prompts("1", null), [["R<b>é", "r4", "w5"], ["x", "w", "w6"]]),
            new Dictionary<string, string> { ["a"] = "b" });
        byte[] whole = File.ReadAllBytes(_folder["evaluation.json"]);
        var random = new Random(16);
        var unexpected = new List<string>();
        for (int i = 0; i < 1000; i++)
        {
            int at = random.Next(whole.Length);
            byte[] damaged = (i % 4) switch
            {
                0 => [.. whole[..at], (byte)random.Next(256), .. whole[(at + 1)..]],
                1 => [.. whole[..at], .. whole[(at + random.Next(1, Math.Min(40, whole.Length - at + 1)))..]],
                2 => [.. whole[..at], .. Encoding.UTF8.GetBytes(Tokens[random.Next(Tokens.Length)]), .. whole[at..]],
                _ => whole[..at],
            };
            string path = _folder["damaged.json"];
            File.WriteAllBytes(path, damaged);
            try
            {
                EvaluationReport read = EvaluationFile.Read(path);
                EvaluationFile.Write(_folder["again.json"], read);
            }
            catch (InvalidDataException)
            {
                // As documented.
            }
            catch (Exception exception)
            {
                unexpected.Add(string.Create(CultureInfo.InvariantCulture, $"{i}: {exception.GetType().Name}: {exception.Message}"));
            }
        }

        Assert.Empty(unexpected);
    }

}
