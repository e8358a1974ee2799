namespace Grpo.Rewards;

/// <summary>The system prompts that ask for answers in the form of an <see cref="AnswerFormat"/>.</summary>
public static class Gsm8kPrompts
{
    /// <summary>
    /// The system prompt that asks for one block each of the tags <c>reasoning</c> and <c>answer</c>, as
    /// <see cref="AnswerFormat.TagAnswer"/> reads them.
    /// </summary>
    public const string TagAnswer =
        """
        Work out the problem step by step, then give the result. Reply in exactly this form:
        <reasoning>
        your steps, one on each line
        </reasoning>
        <answer>
        the final number alone
        </answer>
        """;

    /// <summary>The system prompt that asks for a last line <c>#### n</c>, as <see cref="AnswerFormat.HashMarks"/> reads it.</summary>
    public const string HashMarks =
        "Work out the problem step by step, one step on each line. Put the final number alone on the last line, "
        + "after four hash marks: #### number";

    /// <summary>The system prompt that asks for a final <c>\boxed{n}</c>, as <see cref="AnswerFormat.Boxed"/> reads it.</summary>
    public const string Boxed =
        @"Work out the problem step by step, then end with the final number alone in a box: \boxed{number}";

    /// <summary>Returns the system prompt that asks for answers in a format.</summary>
    /// <param name="format">The format of the answers. <see cref="AnswerFormat.LastNumber"/> gives <see cref="TagAnswer"/>.</param>
    public static string For(AnswerFormat format) => format switch
    {
        AnswerFormat.HashMarks => HashMarks,
        AnswerFormat.Boxed => Boxed,
        _ => TagAnswer, // the lenient format reads any answer, including this one
    };
}
