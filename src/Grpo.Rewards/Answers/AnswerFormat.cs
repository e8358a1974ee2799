namespace Grpo.Rewards;

/// <summary>The place where a completion is expected to state its final number.</summary>
public enum AnswerFormat
{
    /// <summary>
    /// Exactly one <c>&lt;answer&gt;…&lt;/answer&gt;</c>, with every <c>&lt;reasoning&gt;</c> closed before it and only
    /// white space after it.
    /// The reasoning itself is optional; <see cref="FormatReward"/> asks for it.
    /// </summary>
    TagAnswer,

    /// <summary>Exactly one <c>####</c>, with the number on the rest of that line and only white space on the lines after it.</summary>
    HashMarks,

    /// <summary>Exactly one <c>\boxed{…}</c>, with only closing punctuation or a unit after it.</summary>
    Boxed,

    /// <summary>
    /// The last number of the text, wherever it stands, unless the next word changes it: "42 thousand". Use it for lenient evaluation only.
    /// As a training reward it would pay for a list of guesses that happens to end well.
    /// </summary>
    LastNumber,
}
