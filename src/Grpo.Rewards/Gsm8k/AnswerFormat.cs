namespace Grpo.Rewards;

/// <summary>Where a completion is expected to state its final number.</summary>
public enum AnswerFormat
{
    /// <summary>
    /// Exactly one <c>&lt;answer&gt;…&lt;/answer&gt;</c>, every <c>&lt;reasoning&gt;</c> closed before it, nothing but white space after it.
    /// The reasoning itself is optional: <see cref="FormatReward"/> is what asks for it.
    /// </summary>
    TagAnswer,

    /// <summary>Exactly one <c>####</c>; the number is the rest of that line; nothing but white space on the lines after it.</summary>
    HashMarks,

    /// <summary>Exactly one <c>\boxed{…}</c>; after it only closing punctuation or a unit.</summary>
    Boxed,

    /// <summary>
    /// The last number of the text, wherever it stands, unless the word behind it makes another number of it: "42 thousand". For lenient
    /// evaluation: as a training reward it pays a list of guesses that happens to end well.
    /// </summary>
    LastNumber,
}
