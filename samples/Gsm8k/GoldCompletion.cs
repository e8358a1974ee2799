using Grpo.Rewards;

namespace Grpo.Samples.Gsm8k;

/// <summary>The worked solution of a GSM8K row, written the way an answer format reads it.</summary>
internal static class GoldCompletion
{
    /// <summary>The completion that the reward pays in full.</summary>
    /// <param name="prompt">From <see cref="Gsm8kDataset"/>: it has the field <c>solution</c>, which ends with "#### n".</param>
    /// <param name="format">How the answer is marked.</param>
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
