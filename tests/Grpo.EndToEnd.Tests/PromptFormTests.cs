using Grpo.Rewards;
using Grpo.Samples.Gsm8k;
using Grpo.Testing;
using Grpo.Training;

namespace Grpo.EndToEnd.Tests;

/// <summary>Which system prompt and which form of answers win: the command line, the model's own, the sample's.</summary>
public sealed class PromptFormTests : IDisposable
{
    private const string Own = "Solve step by step.";

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    public static TheoryData<string?, string?, AnswerFormat?, string?, string?, AnswerFormat> Rows => new()
    {
        // The task's system prompt and format, the settings' format and system prompt; the system prompt and the format in force.
        { Own, "TagAnswer", null, null, Own, AnswerFormat.TagAnswer },
        { null, "TagAnswer", null, null, null, AnswerFormat.TagAnswer },
        { Own, null, null, null, Own, AnswerFormat.TagAnswer },
        { Own, "Boxed", null, "", null, AnswerFormat.Boxed },
        { Own, "Boxed", null, "Think.", "Think.", AnswerFormat.Boxed },
        // A prompt that does not ask for a form stays when another is read.
        { Own, "TagAnswer", AnswerFormat.HashMarks, null, Own, AnswerFormat.HashMarks },
        // One that asks for a form gives way …
        { Gsm8kPrompts.HashMarks, "HashMarks", AnswerFormat.Boxed, null, Gsm8kPrompts.Boxed, AnswerFormat.Boxed },
        { Gsm8kPrompts.HashMarks, "HashMarks", AnswerFormat.HashMarks, null, Gsm8kPrompts.HashMarks, AnswerFormat.HashMarks },
        // … but not to one that reads any form.
        { Gsm8kPrompts.HashMarks, "HashMarks", AnswerFormat.LastNumber, null, Gsm8kPrompts.HashMarks, AnswerFormat.LastNumber },
        { Own, "an app's own", AnswerFormat.Boxed, null, Own, AnswerFormat.Boxed },
    };

    [Theory]
    [MemberData(nameof(Rows))]
    public void Load_takes_the_settings_before_the_task_of_the_model(
        string? trained, string? trainedFormat, AnswerFormat? format, string? given, string? expected, AnswerFormat expectedFormat)
    {
        new TaskDescription { SystemPrompt = trained, AnswerFormat = trainedFormat }.Write(_folder.Path);
        var form = PromptForm.Load(_folder.Path, format, given);
        Assert.Equal((expectedFormat, expected, expected), (form.Format, form.ForGenerated, form.ForOthers));
    }

    [Fact]
    public void Load_knows_the_task_of_the_tiny_model_and_none_of_others()
    {
        var tiny = PromptForm.Load(null, null, null);
        Assert.Equal((Own, Own), (tiny.ForGenerated, tiny.ForOthers));
        Assert.Empty(tiny.Notes(null, new SamplingOptions { MaxPromptTokens = 1024, MaxCompletionTokens = 128 }));

        foreach (string model in new[] { _folder.Path, "Qwen/Qwen2.5-0.5B-Instruct", "0.5b" })
        {
            var other = PromptForm.Load(model, AnswerFormat.Boxed, null);
            Assert.Equal((Own, Gsm8kPrompts.Boxed), (other.ForGenerated, other.ForOthers));
            Assert.Contains("has no task.json", Assert.Single(other.Notes(model, null)), StringComparison.Ordinal);
            Assert.Empty(PromptForm.Load(model, null, "Think.").Notes(model, null));
        }
    }

    [Fact]
    public void Notes_name_both_values_of_what_differs()
    {
        new TaskDescription { SystemPrompt = "a\u001bb", AnswerFormat = "Boxed", MaxPromptTokens = 7, MaxCompletionTokens = 8 }
            .Write(_folder.Path);
        var form = PromptForm.Load(_folder.Path, AnswerFormat.HashMarks, "Think.");
        Assert.Equal(
            [
                "The model was trained with the answer format Boxed; the settings ask for HashMarks.",
                @"The model was trained with the system prompt 'a\u{1B}b'; the settings ask for 'Think.'.",
                "The model was trained with MaxPromptTokens 7; the settings ask for 9.",
                "The model was trained with MaxCompletionTokens 8; the settings ask for 10.",
            ],
            form.Notes(_folder.Path, new SamplingOptions { MaxPromptTokens = 9, MaxCompletionTokens = 10 }));
        Assert.Equal(
            new TaskDescription { SystemPrompt = "Think.", AnswerFormat = "HashMarks", MaxPromptTokens = 7, MaxCompletionTokens = 8 },
            form.Describe("Think.", sampling: null) with { Fields = new TaskDescription { SystemPrompt = null }.Fields }, TaskComparer);
    }

    [Fact]
    public void Load_names_a_format_that_it_does_not_know()
    {
        new TaskDescription { SystemPrompt = null, AnswerFormat = "3" }.Write(_folder.Path);
        string message = Assert.Throws<InvalidDataException>(() => PromptForm.Load(_folder.Path, null, null)).Message;
        Assert.Contains(
            "task.json' has the answer format '3', which is none of TagAnswer, HashMarks, Boxed, LastNumber.", message,
            StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("data/missing.jsonl", true)]
    [InlineData("data/missing.PARQUET", true)]
    [InlineData("data/train.jsonl.gz", true)]
    [InlineData("../train", true)]
    [InlineData("~/gsm8k", true)]
    [InlineData(@"data\gsm8k", true)]
    [InlineData("a/b/c", true)]
    [InlineData("/data/gsm8k", true)]
    [InlineData("gsm8k", true)]
    [InlineData("openai/gsm8k", false)]
    [InlineData("owner/name-v1.5", false)]
    public void IsPath_tells_a_file_from_a_hub_id(string source, bool expected) => Assert.Equal(expected, DataSource.IsPath(source));

    private static bool TaskComparer(TaskDescription one, TaskDescription other) =>
        (one.SystemPrompt, one.AnswerFormat, one.MaxPromptTokens, one.MaxCompletionTokens)
        == (other.SystemPrompt, other.AnswerFormat, other.MaxPromptTokens, other.MaxCompletionTokens);
}
