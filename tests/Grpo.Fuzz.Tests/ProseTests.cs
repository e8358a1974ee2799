using System.Text;
using System.Text.RegularExpressions;

namespace Grpo.Fuzz.Tests;

/// <summary>The rules of layout, wording and spelling that a program can check.</summary>
public sealed partial class ProseTests
{
    private const int Columns = 140;

    // Not read for spelling, each with its reason.
    private static readonly Dictionary<string, string> Unread = new()
    {
        ["Spelling.cs"] = "the table of British words itself",
        ["ProseTests.cs"] = "quotes British words",
        ["UnitWords.cs"] = "lists the units that a model may write after an answer, in both spellings",
    };

    // Names that others chose, each with its owner.
    private static readonly Dictionary<string, string> ForeignNames = new()
    {
        ["Color.Grey"] = "Spectre.Console",
        ["StringMarshalling"] = "System.Runtime.InteropServices",
    };

    [Fact]
    public void No_line_of_code_is_longer_than_140_columns()
    {
        string[] found =
        [
            .. from source in RepositoryFiles.Read("src", "tests", "samples", "benchmarks", "docs/snippets")
               where source.File.EndsWith(".cs", StringComparison.Ordinal)
               from line in source.Lines.Index()
               let columns = line.Item.EnumerateRunes().Count()
               where columns > Columns
               select $"{source.File}:{line.Index + 1}: {columns} columns",
        ];
        Assert.True(found.Length == 0, Report(found));
    }

    // A tooltip is read alone: "Of the batch." or "What a step keeps." says nothing there.
    [Fact]
    public void Doc_comments_are_sentences_of_their_own()
    {
        string[] found =
        [
            .. from source in RepositoryFiles.Read("src")
               where source.File.EndsWith(".cs", StringComparison.Ordinal)
               from line in source.Lines.Index()
               where Riddle().IsMatch(line.Item)
               select $"{source.File}:{line.Index + 1}: {line.Item.Trim()}",
        ];
        Assert.True(found.Length == 0, Report(found));
    }

    [Fact]
    public void Code_and_pages_are_in_American_spelling()
    {
        string[] found =
        [
            .. from source in RepositoryFiles.Read()
               where !Unread.ContainsKey(Path.GetFileName(source.File))
               from line in source.Lines.Prepend(source.File).Index()
               from word in Spelling.British(WithoutForeignNames(line.Item))
               select $"{source.File}:{line.Index}: {word} → {Spelling.Correct(word)}", // line 0 is the file's own name
        ];
        Assert.True(found.Length == 0, Report(found));
    }

    [Theory]
    [InlineData("IsCancelled", "canceled")]
    [InlineData("misbehaviour", "misbehavior")]
    [InlineData("Batch-normalised", "normalized")]
    [InlineData("HTMLColour", "color")]
    [InlineData("Reward_analyser", "analyzer")]
    [InlineData("LICENCES", "licenses")]
    public void Spelling_finds_a_British_word_in_any_case_and_inside_a_name(string text, string american) =>
        Assert.Equal(american, Spelling.Correct(Assert.Single(Spelling.British(text))));

    [Theory]
    [InlineData("Cancellation of the OperationCanceledException: a promise, four hours, otherwise precise.")]
    [InlineData("Analyses and syntheses of the emphasis; optimism, controlled, called, smaller, a premise, an exercise, the size.")]
    public void Spelling_leaves_American_words(string text) => Assert.Empty(Spelling.British(text));

    // A tag can be moved to other code; a commit cannot. The comment says which release it is.
    [Fact]
    public void Workflows_pin_every_action_to_a_commit()
    {
        (string File, string[] Lines)[] workflows = [.. RepositoryFiles.Read(".github/workflows")];
        string[] lines = [.. workflows.SelectMany(workflow => workflow.Lines)];
        string[] uses = [.. lines.Where(line => line.Contains("uses:", StringComparison.Ordinal))];
        Assert.NotEmpty(uses);
        Assert.All(uses, line => Assert.Matches(Pinned(), line));
        Assert.All(workflows, workflow => Assert.Contains("  contents: read", workflow.Lines));
        Assert.DoesNotContain(lines, line => line.Contains(": write", StringComparison.Ordinal));
    }

    private static string WithoutForeignNames(string line) =>
        ForeignNames.Keys.Aggregate(line, (text, name) => text.Replace(name, "", StringComparison.Ordinal));

    private static string Report(string[] found) => new StringBuilder()
        .Append(found.Length).Append(" found:\n").AppendJoin('\n', found.Take(100)).Append(found.Length > 100 ? "\n…" : "").ToString();

    [GeneratedRegex("///.*(summary|param[^>]*)>(What|Of|As there|The same|Whether it) ", RegexOptions.NonBacktracking)]
    private static partial Regex Riddle();

    [GeneratedRegex(@"^\s*(- )?uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", RegexOptions.NonBacktracking)]
    private static partial Regex Pinned();
}
