using Grpo.Training;

namespace Grpo.Callbacks;

/// <summary>Writes the section with completions before and after the run, side by side.</summary>
internal static class CompletionsSection
{
    private const int MaxCharacters = 4000;

    public static void Write(HtmlWriter page, TrainingSummary summary)
    {
        page.Write($"""<section aria-labelledby="completions"><h2 id="completions">Before and after</h2>""");
        var pairs = BeforeAfter.From(summary.Before, summary.After);
        if (pairs.Pairs.Count == 0)
        {
            page.Write(
                $"""<p class="missing">There are no held-out completions of both before and after the run to """
                + $"""compare.</p></section>{"\n"}""");
            return;
        }

        WriteCounts(page, pairs);
        foreach (BeforeAfter.Pair pair in pairs.Choose())
        {
            WritePair(page, pair);
        }

        page.Write($"</section>\n");
    }

    /// <summary>Writes a verdict as a mark, a word and the reward, never by color alone.</summary>
    public static void WriteVerdict(HtmlWriter page, Reward reward)
    {
        (string style, string mark) = reward.IsCorrect switch
        {
            true => ("right", "✓"),
            false => ("wrong", "✗"),
            null => ("open", "•"),
        };
        string verdict = reward.Verdict ?? (reward.IsCorrect switch { true => "correct", false => "wrong", null => "not judged" });
        string value = reward.Value is { } number ? "reward " + Numbers.Show(number) : "no reward";
        page.Write($"""<span class="verdict {style}">{mark} {HtmlText.Cut(verdict, 60)}</span> <span class="note">{value}</span>""");
    }

    private static void WriteCounts(HtmlWriter page, BeforeAfter pairs)
    {
        page.Write($"""<p class="lead">Of {Numbers.Count(pairs.Pairs.Count)} held-out prompts,""");
        string separator = " ";
        foreach (Change change in Enum.GetValues<Change>())
        {
            if (pairs.Count(change) is var count and > 0)
            {
                page.Write($"{separator}<strong>{Numbers.Count(count)}</strong> {Words(change)}");
                separator = ", ";
            }
        }

        page.Write($". Some of each:</p>");
    }

    private static void WritePair(HtmlWriter page, BeforeAfter.Pair pair)
    {
        page.Write($"""<article class="card pair"><p class="change {pair.Change.ToString()}">{Title(pair.Change)}</p>""");
        WritePrompt(page, pair.Prompt);
        page.Write($"""<div class="sides">""");
        WriteSide(page, "Before", pair.Before);
        WriteSide(page, "After", pair.After);
        page.Write($"</div></article>");
    }

    /// <summary>Writes the last message of a prompt and the expected answer, if there is one.</summary>
    public static void WritePrompt(HtmlWriter page, Prompt prompt)
    {
        string text = prompt.Messages.Count == 0 ? prompt.Id : prompt.Messages[^1].Text;
        page.Write($"""<p class="prompt" dir="auto">{HtmlText.Cut(text, MaxCharacters)}</p>""");
        if (prompt.Answer is { } answer)
        {
            page.Write($"""<p class="note">Expected answer: <bdi>{HtmlText.Cut(answer, MaxCharacters)}</bdi></p>""");
        }
    }

    private static void WriteSide(HtmlWriter page, string when, BeforeAfter.Side side)
    {
        page.Write($"""<div class="side"><h3>{when} """);
        WriteVerdict(page, side.Reward);
        string text = side.Completion.Text.Length == 0 ? "(empty)" : HtmlText.Cut(side.Completion.Text, MaxCharacters);
        page.Write($"""</h3><div class="text" dir="auto">{text}</div></div>""");
    }

    private static string Words(Change change) => change switch
    {
        Change.Gained => "were gained",
        Change.Lost => "were lost",
        Change.StillWrong => "stayed wrong",
        Change.StillRight => "stayed right",
        _ => "stayed the same",
    };

    private static string Title(Change change) => change switch
    {
        Change.Gained => "▲ Gained",
        Change.Lost => "▼ Lost",
        Change.StillWrong => "Still wrong",
        Change.StillRight => "Still right",
        _ => "Unchanged",
    };
}
