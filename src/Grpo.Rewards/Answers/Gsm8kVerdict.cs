namespace Grpo.Rewards;

/// <summary>The outcome of judging a completion's answer. Only <see cref="Correct"/> counts as a solved problem.</summary>
public enum Gsm8kVerdict
{
    /// <summary>There is one answer, it is in its place, and it equals the gold number.</summary>
    Correct,

    /// <summary>There is one answer, it is in its place, and it differs from the gold number.</summary>
    WrongNumber,

    /// <summary>The place of the answer is missing, not closed, or empty.</summary>
    NoAnswer,

    /// <summary>The place of the answer occurs more than once, or holds more than one number.</summary>
    MultipleAnswers,

    /// <summary>The place of the answer holds something that is not one exact number.</summary>
    Unparseable,

    /// <summary>
    /// The answer is out of place. Either its tag stands inside reasoning that is not closed, or it has no tag and the text's last number
    /// is the gold number. Lenient evaluation would count the second case as correct.
    /// </summary>
    OutsideTag,

    /// <summary>The completion goes on after its answer.</summary>
    TrailingText,

    /// <summary>
    /// The completion reached the length limit before its answer was complete. Other faults of a truncated completion, such as several
    /// answers or text after the answer, keep their own verdict. A complete answer is judged as usual.
    /// </summary>
    Truncated,
}
