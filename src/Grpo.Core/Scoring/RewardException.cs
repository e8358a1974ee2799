using System.Globalization;
using Grpo.IO;

namespace Grpo;

/// <summary>
/// The exception for a reward function that failed. Its message names the reward, the prompt and, if known, the completion.
/// </summary>
public sealed class RewardException : Exception
{
    /// <summary>Creates the exception.</summary>
    /// <param name="rewardName">The name of the reward function.</param>
    /// <param name="promptId">The id of the prompt.</param>
    /// <param name="completionIndex">The index of the completion in its group, from 0. Null if the whole group failed.</param>
    /// <param name="problem">The problem as a clause, such as "returned NaN".</param>
    /// <param name="innerException">The exception that the reward function threw, or null if it threw none.</param>
    public RewardException(string rewardName, string promptId, int? completionIndex, string problem, Exception? innerException = null)
        : base(Describe(rewardName, promptId, completionIndex, problem), innerException)
    {
        RewardName = rewardName;
        PromptId = promptId;
        CompletionIndex = completionIndex;
        _problem = problem;
    }

    private readonly string _problem;

    /// <summary>The name of the reward function. For a weighted sum, the name of the part that failed.</summary>
    public string RewardName { get; }

    /// <summary>The id of the prompt whose group was scored.</summary>
    public string PromptId { get; }

    /// <summary>The index of the completion in its group, from 0. Null if the whole group failed.</summary>
    public int? CompletionIndex { get; }

    /// <summary>Returns this failure for another completion.</summary>
    internal RewardException At(string promptId, int completionIndex) =>
        new(RewardName, promptId, completionIndex, _problem, InnerException);

    private static string Describe(string rewardName, string promptId, int? completionIndex, string problem)
    {
        string place = completionIndex is { } index
            ? string.Create(CultureInfo.InvariantCulture, $"completion {index} of prompt '{TerminalText.EscapeLine(promptId)}'")
            : $"the group of prompt '{TerminalText.EscapeLine(promptId)}'";
        return $"Reward '{rewardName}' {TerminalText.Escape(problem)} on {place}. "
            + "To leave such completions out instead, set RewardOptions.OnError to Abstain.";
    }
}
