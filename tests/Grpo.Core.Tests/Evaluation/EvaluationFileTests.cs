using System.Text.Json;
using Grpo.Evaluation;

namespace Grpo.Core.Tests.Evaluation;

public sealed class EvaluationFileTests : IDisposable
{
    private readonly Grpo.Testing.TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public async Task Write_names_every_number()
    {
        EvaluationReport report = await Judged.EvaluateAsync(Judged.Prompts("1", "2"), [["R<b>", "r4", "w5"], ["w", "w", "w6"]]);
        EvaluationFile.Write(_folder["evaluation.json"], report, new Dictionary<string, string> { ["model"] = "toy" });
        string text = File.ReadAllText(_folder["evaluation.json"]);
        JsonElement root = JsonDocument.Parse(text).RootElement, content = root.GetProperty("report");

        Assert.Equal(1, root.GetProperty("format_version").GetInt32());
        Assert.Equal("toy", root.GetProperty("about").GetProperty("model").GetString());
        Assert.Equal(0.5, content.GetProperty("accuracy").GetDouble());
        Assert.Equal(report.AccuracyInterval!.Value.High, content.GetProperty("accuracy_interval").GetProperty("high").GetDouble());
        Assert.Equal(0.5, content.GetProperty("lenient_accuracy").GetDouble());
        Assert.Equal(1, content.GetProperty("verdicts").GetProperty("Wrong").GetInt32());
        Assert.Equal("2", content.GetProperty("difficulties")[1].GetProperty("difficulty").GetString());
        Assert.Equal(0.5, content.GetProperty("sampled").GetProperty("accuracies")[1].GetProperty("pass").GetDouble());
        JsonElement item = content.GetProperty("items")[0];
        Assert.Equal(
            ("0", "question 0", "gold"),
            (item.GetProperty("id").GetString(), item.GetProperty("question").GetString(), item.GetProperty("expected").GetString()));
        Assert.Equal("EndToken", item.GetProperty("completion").GetProperty("finish_reason").GetString());
        Assert.Equal(4, item.GetProperty("completion").GetProperty("tokens").GetInt32());
        Assert.True(item.GetProperty("completion").GetProperty("is_correct").GetBoolean());
        Assert.Equal("4", item.GetProperty("samples")[0].GetProperty("answer").GetString());
        Assert.Contains("\"text\": \"R<b>\"", text, StringComparison.Ordinal); // for people: no \u003C
        Assert.DoesNotContain("\"groups\"", text, StringComparison.Ordinal);
        Assert.EndsWith("}\n", text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Read_gives_back_what_was_written()
    {
        EvaluationReport report = await Judged.EvaluateAsync(
            Judged.Prompts("1", "2", null), [["R\"\n\t\u0001é√", "r4", "w5"], ["w", "w", "w6"], ["x", "x", "x"]]);
        EvaluationFile.Write(_folder["first.json"], report);
        EvaluationReport read = EvaluationFile.Read(_folder["first.json"]);
        EvaluationFile.Write(_folder["second.json"], read);

        Assert.Equal(File.ReadAllBytes(_folder["first.json"]), File.ReadAllBytes(_folder["second.json"]));
        Assert.Equal(report.AccuracyInterval, read.AccuracyInterval);
        Assert.Equal(report.Difficulties, read.Difficulties);
        Assert.Equal(report.Sampled!.Accuracies, read.Sampled!.Accuracies);
        Assert.Equal(report.Items.Select(item => item.Completion), read.Items.Select(item => item.Completion));
        Assert.Empty(read.Groups);
        Assert.Equal(0, PairedComparison.Create(
            read with { Items = read.Items.Take(2).ToArray() }, report with { Items = report.Items.Take(2).ToArray() }).Difference);
    }

    [Fact]
    public async Task Write_keeps_a_report_whose_rewards_all_abstain()
    {
        EvaluationFile.Write(_folder["evaluation.json"], await Judged.EvaluateAsync("x"));
        Assert.Equal(double.NaN, EvaluationFile.Read(_folder["evaluation.json"]).MeanReward);
    }

    [Fact]
    public async Task Write_replaces_a_file_and_leaves_no_other_behind()
    {
        string path = _folder[Path.Combine("new", "evaluation.json")];
        EvaluationFile.Write(path, await Judged.EvaluateAsync("r", "r"));
        EvaluationFile.Write(path, await Judged.EvaluateAsync("w"));
        Assert.Equal(1, EvaluationFile.Read(path).Count);
        Assert.Equal(["evaluation.json"], Directory.GetFiles(_folder["new"]).Select(file => Path.GetFileName(file)));
    }

    [Fact]
    public async Task Write_leaves_nothing_behind_when_it_fails()
    {
        EvaluationReport report = await Judged.EvaluateAsync("r");
        EvaluationReport broken = report with { Items = [new EvaluationItem { Id = "0", Question = "?", Completion = null! }] };
        EvaluationFile.Write(_folder["evaluation.json"], report);
        Assert.Throws<JsonException>(() => EvaluationFile.Write(_folder["evaluation.json"], broken));
        Assert.Equal(["evaluation.json"], Directory.GetFiles(_folder.Path).Select(file => Path.GetFileName(file)));
        Assert.Equal("r", EvaluationFile.Read(_folder["evaluation.json"]).Items[0].Completion.Text);
        Assert.Contains(
            "is a folder", Assert.Throws<IOException>(() => EvaluationFile.Write(_folder.Path, report)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "is not an evaluation")]
    [InlineData("null", "it is null")]
    [InlineData("[1]", "is not an evaluation")]
    [InlineData("{}", "is not an evaluation")]
    [InlineData("""{"format_version": 1, "about": {}, "report": null}""", "is not an evaluation")]
    [InlineData("""{"format_version": 1, "about": {}, "report": {"accuracy": 1}}""", "is not an evaluation")]
    [InlineData("""{"format_version": 1, "about": {}, "report": {"count": 1, "items": [null]}}""", "is not an evaluation")]
    [InlineData("""{"format_version": 2, "about": {}, "report": {"count": 1}}""", "has the format version 2; this version reads 1.")]
    public void Read_refuses_what_is_no_evaluation(string text, string message)
    {
        File.WriteAllText(_folder["evaluation.json"], text);
        Assert.Contains(
            message, Assert.Throws<InvalidDataException>(() => EvaluationFile.Read(_folder["evaluation.json"])).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task Write_keeps_hostile_text_in_valid_json()
    {
        const string Hostile = "<script>\" \u001b[31m \u202E \u0000 \uD83D";
        EvaluationReport report = await Judged.EvaluateAsync("r");
        EvaluationReport hostile = report with
        {
            Items = [report.Items[0] with { Question = Hostile, Completion = report.Items[0].Completion with { Text = Hostile } }],
        };
        EvaluationFile.Write(_folder["evaluation.json"], hostile);
        byte[] bytes = File.ReadAllBytes(_folder["evaluation.json"]);
        Assert.True(System.Text.Unicode.Utf8.IsValid(bytes));
        Assert.DoesNotContain(bytes, value => value < ' ' && value != '\n');
        Assert.Equal(Hostile.Replace('\uD83D', '\uFFFD'), EvaluationFile.Read(_folder["evaluation.json"]).Items[0].Completion.Text);
    }

    [Fact]
    public void Read_says_how_to_make_a_file_that_is_not_there() => Assert.Contains(
        "option --json of eval",
        Assert.Throws<FileNotFoundException>(() => EvaluationFile.Read(_folder["none.json"])).Message,
        StringComparison.Ordinal);
}
