using Grpo.IO;

namespace Grpo.Rewards.Answers;

/// <summary>
/// The result of <see cref="Gsm8kAnswer.Extract"/>: either the answer's number or the reason why there is none.
/// </summary>
/// <param name="Number">The answer, or null if there is none.</param>
/// <param name="Refusal">
/// The reason why there is no answer: NoAnswer, MultipleAnswers, Unparseable, OutsideTag or TrailingText. Null if there is one.
/// </param>
/// <param name="Candidate">The trimmed text in the answer's place, at most 64 characters. Null if the text has no such place.</param>
public readonly record struct Gsm8kExtraction(ExactNumber? Number, Gsm8kVerdict? Refusal, string? Candidate)
{
    /// <summary>
    /// True if the number runs to the end of the text. In a truncated completion it may be the beginning of a longer one.
    /// </summary>
    internal bool IsOpenEnded { get; init; }

    internal static Gsm8kExtraction Refuse(Gsm8kVerdict refusal) => new(null, refusal, null);
}

/// <summary>The extraction of a completion's answer in one of four formats, and its exact comparison with the gold number.</summary>
/// <remarks>
/// Reward and evaluation use the same code. Completions are treated as hostile input: it takes linear time, bounds the length of
/// candidates, throws nothing for bad text and evaluates nothing. What stands in a think block is no answer
/// (<see cref="Completion.VisibleText"/>).
/// </remarks>
public static class Gsm8kAnswer
{
    /// <summary>Finds the answer of a completion, without knowing the gold answer.</summary>
    /// <param name="text">The text of the completion.</param>
    /// <param name="format">The place where the answer must stand.</param>
    /// <returns>The number that the completion answers, or the reason why it has no answer.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="format"/> is not a member of the enumeration.</exception>
    public static Gsm8kExtraction Extract(string text, AnswerFormat format = AnswerFormat.TagAnswer)
    {
        string visible = Completion.RemoveThinkBlocks(text);
        return format switch
        {
            AnswerFormat.TagAnswer => AnswerLocator.InTag(visible),
            AnswerFormat.HashMarks => AnswerLocator.AfterHashMarks(visible),
            AnswerFormat.Boxed => AnswerLocator.InBox(visible),
            AnswerFormat.LastNumber => LastNumberSearch.Find(visible),
            _ => throw new ArgumentOutOfRangeException(
                nameof(format), format, "The format must be TagAnswer, HashMarks, Boxed or LastNumber."),
        };
    }

    /// <summary>Judges a completion: finds its answer and compares it with the gold answer.</summary>
    /// <param name="text">The text of the completion.</param>
    /// <param name="gold">The gold answer as the data set writes it, for example "1,080".</param>
    /// <param name="format">The place where the answer must stand.</param>
    /// <param name="finishReason">
    /// The reason why the completion ended. It distinguishes <see cref="Gsm8kVerdict.Truncated"/> from <see cref="Gsm8kVerdict.NoAnswer"/>.
    /// </param>
    /// <returns>The verdict. Only <see cref="Gsm8kVerdict.Correct"/> counts as a solved problem.</returns>
    /// <exception cref="ArgumentException"><paramref name="gold"/> is not a number.</exception>
    public static Gsm8kVerdict Judge(
        string text, string gold, AnswerFormat format = AnswerFormat.TagAnswer, FinishReason finishReason = FinishReason.EndToken)
    {
        if (!ExactNumber.TryParse(gold, out ExactNumber expected))
        {
            throw new ArgumentException(
                $"The gold answer must be one exact number but is '{TerminalText.EscapeLine(gold)}'.", nameof(gold));
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

        return found.Refusal == Gsm8kVerdict.NoAnswer && LastNumberSearch.Find(Completion.RemoveThinkBlocks(text)).Number == expected
            ? Gsm8kVerdict.OutsideTag
            : found.Refusal!.Value;
    }

    /// <summary>Gets the gold answer of a worked solution: the trimmed text after its last <c>####</c>.</summary>
    /// <param name="solution">The worked solution: the data set's <c>answer</c> field.</param>
    /// <param name="gold">The gold answer, or the empty string if there is none.</param>
    /// <returns>True if the solution has a <c>####</c> with text after it.</returns>
    public static bool TryGetGold(string solution, out string gold)
    {
        ArgumentNullException.ThrowIfNull(solution);
        int mark = solution.LastIndexOf("####", StringComparison.Ordinal);
        gold = mark < 0 ? "" : solution[(mark + 4)..].Trim();
        return gold.Length > 0;
    }
}
