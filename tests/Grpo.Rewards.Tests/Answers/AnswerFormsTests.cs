using System.Globalization;
using System.Text.RegularExpressions;
using Grpo.Rewards.Answers;
using Grpo.Testing;

namespace Grpo.Rewards.Tests;

/// <summary>The rule for the text that may follow and surround a number, tested on the table of answer-forms.tsv.</summary>
public sealed partial class AnswerFormsTests
{
    private static readonly AnswerFormat[] StrictFormats = [AnswerFormat.TagAnswer, AnswerFormat.HashMarks, AnswerFormat.Boxed];

    public static TheoryData<string> Cultures => [.. CultureScope.Names];

    [Theory]
    [MemberData(nameof(Cultures))]
    public void Judge_gives_the_verdict_of_the_table(string culture)
    {
        using var scope = new CultureScope(culture);
        List<Form> forms = [.. Forms()];
        string[] wrong = [.. forms.Where(form => Judged(form) != form.Verdict).Select(form => $"{form} but {Judged(form)}")];

        Assert.True(wrong.Length == 0, $"{wrong.Length} of {forms.Count}:\n{string.Join('\n', wrong)}");
    }

    [Fact]
    public void Table_has_several_hundred_forms_of_each_format()
    {
        var counts = Forms().CountBy(form => form.Format).ToDictionary();

        Assert.All(Enum.GetValues<AnswerFormat>(), format => Assert.True(counts[format] >= 300, $"{format}: {counts[format]}"));
        Assert.True(CultureScope.Names.Length >= 4);
    }

    // Every prefix of a right answer must be read without an error.
    [Fact]
    public void Judge_reads_every_beginning_of_every_form()
    {
        foreach (Form form in Forms())
        {
            for (int length = 0; length < form.Text.Length; length++)
            {
                Gsm8kAnswer.Judge(form.Text[..length], form.Gold, form.Format);
            }
        }
    }

    [SharedTheory]
    [InlineData("answers.tsv")]
    [InlineData("boxed-latex.tsv")]
    public void Judge_gives_the_verdict_of_the_kept_cases(string file)
    {
        string[][] lines = [.. File.ReadLines(SharedData.Path("cases", file)).Select(line => line.Split('\t'))];
        int text = Array.IndexOf(lines[0], "text"), gold = Array.IndexOf(lines[0], "gold");
        int format = Array.IndexOf(lines[0], "format"), right = Array.IndexOf(lines[0], "right");
        Assert.NotEmpty(lines[1..]);
        Assert.All(lines[1..], row =>
        {
            AnswerFormat place = format < 0 ? AnswerFormat.Boxed : Enum.Parse<AnswerFormat>(row[format]);
            Gsm8kVerdict verdict = Gsm8kAnswer.Judge(row[text], row[gold], place);
            bool isRight = row[right] == "refuse" ? verdict != Gsm8kVerdict.Correct : verdict.ToString() == row[right];
            Assert.True(isRight, $"{row[text]}: {verdict}");
        });
    }

    private static Gsm8kVerdict Judged(Form form) => Gsm8kAnswer.Judge(form.Text, form.Gold, form.Format);

    // One row for each format that the form is meant for.
    private static IEnumerable<Form> Forms()
    {
        using Stream stream = typeof(AnswerFormsTests).Assembly.GetManifestResourceStream("answer-forms.tsv")!;
        using var reader = new StreamReader(stream);
        while (reader.ReadLine() is { } line)
        {
            if (line.Length == 0 || line.StartsWith("# ", StringComparison.Ordinal) || line == "#")
            {
                continue;
            }

            string[] columns = line.Split('\t');
            Assert.Equal(5, columns.Length);
            (string where, string text) = (columns[0], CodePoint().Replace(columns[1], Character));
            AnswerFormat[] formats = where switch
            {
                "strict" => StrictFormats,
                "every" => [.. StrictFormats, AnswerFormat.LastNumber],
                _ => [],
            };
            foreach (AnswerFormat format in formats)
            {
                yield return new Form(format, InPlace(text, format), columns[2], Enum.Parse<Gsm8kVerdict>(columns[3]));
            }

            if (formats.Length == 0)
            {
                yield return new Form(Enum.Parse<AnswerFormat>(where), text, columns[2], Enum.Parse<Gsm8kVerdict>(columns[3]));
            }
        }
    }

    private static string Character(Match match) =>
        char.ConvertFromUtf32(int.Parse(match.Groups[1].Value, NumberStyles.HexNumber, CultureInfo.InvariantCulture));

    private static string InPlace(string text, AnswerFormat format) => format switch
    {
        AnswerFormat.TagAnswer => $"<reasoning>40 + 2</reasoning><answer>{text}</answer>",
        AnswerFormat.HashMarks => $"40 + 2\n#### {text}",
        AnswerFormat.Boxed => $@"40 + 2, so \boxed{{{text}}}",
        _ => $"So it is {text}",
    };

    [GeneratedRegex(@"\{U\+([0-9A-F]{4,5})\}")]
    private static partial Regex CodePoint();

    private sealed record Form(AnswerFormat Format, string Text, string Gold, Gsm8kVerdict Verdict);
}
