namespace Grpo.Rewards;

/// <summary>What became of a completion's answer. Exactly one holds; only <see cref="Correct"/> is a solved problem.</summary>
public enum Gsm8kVerdict
{
    /// <summary>One answer, in its place, equal to the gold number.</summary>
    Correct,

    /// <summary>One answer, in its place, another number.</summary>
    WrongNumber,

    /// <summary>The place of the answer is missing, not closed, or empty.</summary>
    NoAnswer,

    /// <summary>The place of the answer occurs more than once, or holds more than one number.</summary>
    MultipleAnswers,

    /// <summary>The place of the answer holds something that is not one exact number.</summary>
    Unparseable,

    /// <summary>
    /// The answer is out of place: its tag stands inside reasoning that is not closed, or there is none and the text's last number
    /// is the gold number. Lenient evaluation would count the latter.
    /// </summary>
    OutsideTag,

    /// <summary>Something follows the answer: a run-on.</summary>
    TrailingText,

    /// <summary>
    /// The length limit came before the answer was complete. Other faults of a truncated completion (several answers, text after the
    /// answer) keep their own verdict, because the limit is not what was wrong; a complete answer is judged as usual.
    /// </summary>
    Truncated,
}
