using Grpo.Rewards;

namespace Grpo.Samples.Gsm8k;

/// <summary>Writes the worked solution of a GSM8K row in an answer format.</summary>
internal static class GoldCompletion
{
    /// <summary>Returns the completion that earns the full reward.</summary>
    /// <param name="prompt">A prompt of <see cref="Gsm8kDataset"/>, whose field <c>solution</c> ends with "#### n".</param>
    /// <param name="format">The format of the answer.</param>
    public static string Of(Prompt prompt, AnswerFormat format)
    {
        string solution = prompt.Fields["solution"];
        string steps = solution[..solution.LastIndexOf("####", StringComparison.Ordinal)].TrimEnd();
        return format switch
        {
            AnswerFormat.TagAnswer => $"<reasoning>\n{steps}\n</reasoning>\n<answer>\n{prompt.Answer}\n</answer>",
            AnswerFormat.Boxed => $"{steps}\n\\boxed{{{prompt.Answer}}}",
            _ => $"{steps}\n#### {prompt.Answer}", // also the last number of the text
        };
    }
}
