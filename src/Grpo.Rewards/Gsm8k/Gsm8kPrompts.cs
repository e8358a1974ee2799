namespace Grpo.Rewards;

/// <summary>System prompts that ask for the form that an <see cref="AnswerFormat"/> reads.</summary>
public static class Gsm8kPrompts
{
    /// <summary>Asks for the tags <c>reasoning</c> and <c>answer</c>, one block each, read by <see cref="AnswerFormat.TagAnswer"/>.</summary>
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

    /// <summary>Asks for a last line <c>#### n</c>, read by <see cref="AnswerFormat.HashMarks"/>.</summary>
    public const string HashMarks =
        "Work out the problem step by step, one step on each line. Put the final number alone on the last line, "
        + "after four hash marks: #### number";

    /// <summary>Asks for a final <c>\boxed{n}</c>, read by <see cref="AnswerFormat.Boxed"/>.</summary>
    public const string Boxed =
        @"Work out the problem step by step, then end with the final number alone in a box: \boxed{number}";

    /// <summary>The system message that asks for answers in a format.</summary>
    /// <param name="format">How answers are marked.</param>
    public static string For(AnswerFormat format) => format switch
    {
        AnswerFormat.HashMarks => HashMarks,
        AnswerFormat.Boxed => Boxed,
        _ => TagAnswer, // the lenient extractor reads any answer, this one included
    };
}
