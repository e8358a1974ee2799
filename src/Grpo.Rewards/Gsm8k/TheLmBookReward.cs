using System.Globalization;
using System.Text.RegularExpressions;
using Grpo.IO;

namespace Grpo.Rewards;

/// <summary>
/// A reward that reproduces the scoring of theLMbook's GRPO tutorial, for comparison with its published curve. It ranges from 0 to 2.8.
/// </summary>
/// <remarks>
/// The gold text itself earns 2.0, and a text whose single number equals the gold's earns 1.5. Each of the four tags that occurs adds 0.2.
/// The weaknesses are reproduced too: the last <c>&lt;answer&gt;</c> counts, "1080" earns nothing if the gold answer is "1,080", and tags
/// alone earn 0.8. Train on <see cref="Gsm8kReward"/> and <see cref="FormatReward"/> instead. Two differences remain: only ASCII digits
/// count as digits, and think blocks count as nothing.
/// </remarks>
public sealed partial class TheLmBookReward : CompletionReward, IHasIdentity
{
    private const double TagValue = 0.2;

    private static readonly string[] Tags = ["<reasoning>", "</reasoning>", "<answer>", "</answer>"];

    /// <inheritdoc/>
    public PlugInIdentity Identity { get; } = new("theLMbook");

    /// <inheritdoc/>
    /// <returns>
    /// The reward with the components <c>correctness</c> and <c>format</c>. Its label is Exact, NumericallyEqual, WrongAnswer or NoAnswer.
    /// Its answer is the only number of the text in the tag, or that text if it has no number or several.
    /// </returns>
    /// <exception cref="ArgumentException">The prompt has no answer.</exception>
    public override Reward Score(Prompt prompt, Completion completion)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentNullException.ThrowIfNull(completion);
        string gold = prompt.Answer
            ?? throw new ArgumentException(
                $"Prompt '{TerminalText.EscapeLine(prompt.Id)}' has no Answer to compare with. Gsm8kDataset.Load sets it.", nameof(prompt));
        string text = completion.VisibleText;
        string? answer = LastAnswer(text);
        var (correctness, verdict) = answer is null ? (0.0, "NoAnswer")
            : answer == gold ? (2.0, "Exact")
            : SingleNumber(answer) is { } number && number == SingleNumber(gold) ? (1.5, "NumericallyEqual")
            : (0.0, "WrongAnswer");
        double format = TagValue * Tags.Count(tag => text.Contains(tag, StringComparison.Ordinal));
        return new Reward(correctness + format)
        {
            Verdict = verdict,
            IsCorrect = correctness > 0,
            Answer = answer is null ? null : SingleNumber(answer)?.ToString(CultureInfo.InvariantCulture) ?? answer,
            Components = new Dictionary<string, double?> { ["correctness"] = correctness, ["format"] = format },
        };
    }

    /// <summary>
    /// Returns the text between the last opening tag and the next closing tag. Null if it is missing or the template's "...".
    /// </summary>
    private static string? LastAnswer(string text)
    {
        const string Open = "<answer>", Close = "</answer>";
        int open = text.LastIndexOf(Open, StringComparison.Ordinal);
        int close = open < 0 ? -1 : text.IndexOf(Close, open + Open.Length, StringComparison.Ordinal);
        string? answer = close < 0 ? null : text[(open + Open.Length)..close].Trim();
        return answer == "..." ? null : answer;
    }

    private static double? SingleNumber(string text)
    {
        double? single = null;
        foreach (ValueMatch match in Number().EnumerateMatches(text))
        {
            if (single is not null)
            {
                return null;
            }

            // Adding 0 turns -0 into 0, so that the two are written alike.
            single = double.Parse(text.AsSpan(match.Index, match.Length), NumberStyles.Float, CultureInfo.InvariantCulture) + 0.0;
        }

        return single;
    }

    [GeneratedRegex(@"-?[0-9]*\.?[0-9]+", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex Number();
}
