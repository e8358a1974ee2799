using Grpo.IO;

namespace Grpo.Rewards;

/// <summary>
/// Finds the answer of a completion by one of four formats and compares it with the gold number exactly. The same code serves reward
/// and evaluation. Text is hostile input: linear time, bounded candidates, no exception, no evaluation.
/// </summary>
public static class Gsm8kAnswer
{
    /// <summary>Finds the answer, without knowing the right one.</summary>
    /// <param name="text">The completion.</param>
    /// <param name="format">Where the answer must stand.</param>
    /// <exception cref="ArgumentOutOfRangeException">The format is not a member of the enumeration.</exception>
    public static Gsm8kExtraction Extract(string text, AnswerFormat format = AnswerFormat.TagAnswer)
    {
        ArgumentNullException.ThrowIfNull(text);
        return format switch
        {
            AnswerFormat.TagAnswer => AnswerLocator.InTag(text),
            AnswerFormat.HashMarks => AnswerLocator.AfterHashMarks(text),
            AnswerFormat.Boxed => AnswerLocator.InBox(text),
            AnswerFormat.LastNumber => LastNumberSearch.Find(text),
            _ => throw new ArgumentOutOfRangeException(nameof(format), format, "The format must be TagAnswer, HashMarks, Boxed or LastNumber."),
        };
    }

    /// <summary>Judges a completion.</summary>
    /// <param name="text">The completion.</param>
    /// <param name="gold">The right number, as the data set writes it: "1,080".</param>
    /// <param name="format">Where the answer must stand.</param>
    /// <param name="finishReason">
    /// Why the completion ended; tells <see cref="Gsm8kVerdict.Truncated"/> from <see cref="Gsm8kVerdict.NoAnswer"/>.
    /// </param>
    /// <exception cref="ArgumentException"><paramref name="gold"/> is not a number.</exception>
    public static Gsm8kVerdict Judge(
        string text, string gold, AnswerFormat format = AnswerFormat.TagAnswer, FinishReason finishReason = FinishReason.EndToken)
    {
        if (!ExactNumber.TryParse(gold, out ExactNumber expected))
        {
            throw new ArgumentException($"The gold answer must be one exact number but is '{TerminalText.EscapeLine(gold)}'.", nameof(gold));
        }

        Gsm8kExtraction found = Extract(text, format);
        bool truncated = finishReason == FinishReason.Truncated;
        if (truncated && (found.IsOpenEnded || found.Refusal is Gsm8kVerdict.NoAnswer or Gsm8kVerdict.OutsideTag))
        {
            return Gsm8kVerdict.Truncated;
        }

        if (found.Number is { } number)
        {
            return number == expected ? Gsm8kVerdict.Correct : Gsm8kVerdict.WrongNumber;
        }

        return found.Refusal == Gsm8kVerdict.NoAnswer && LastNumberSearch.Find(text).Number == expected
            ? Gsm8kVerdict.OutsideTag
            : found.Refusal!.Value;
    }

    /// <summary>The gold answer of a worked solution: what follows its last <c>####</c>, trimmed.</summary>
    /// <param name="solution">The data set's <c>answer</c> field.</param>
    /// <param name="gold">The answer, or the empty string.</param>
    /// <returns>False when there is no <c>####</c> or nothing after it.</returns>
    public static bool TryGetGold(string solution, out string gold)
    {
        ArgumentNullException.ThrowIfNull(solution);
        int mark = solution.LastIndexOf("####", StringComparison.Ordinal);
        gold = mark < 0 ? "" : solution[(mark + 4)..].Trim();
        return gold.Length > 0;
    }
}
