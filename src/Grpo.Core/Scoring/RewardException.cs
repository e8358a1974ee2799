using System.Globalization;
using Grpo.IO;

namespace Grpo;

/// <summary>A reward function failed. The message names the reward, the prompt and, where it is known, the completion.</summary>
public sealed class RewardException : Exception
{
    /// <summary>A failure with its place.</summary>
    /// <param name="rewardName">The reward function.</param>
    /// <param name="promptId">The prompt.</param>
    /// <param name="completionIndex">Which completion of the group, from 0; null when the whole group failed.</param>
    /// <param name="problem">What went wrong, as a clause: "returned NaN".</param>
    /// <param name="innerException">What the reward function threw, if it threw.</param>
    public RewardException(string rewardName, string promptId, int? completionIndex, string problem, Exception? innerException = null)
        : base(Describe(rewardName, promptId, completionIndex, problem), innerException)
    {
        RewardName = rewardName;
        PromptId = promptId;
        CompletionIndex = completionIndex;
        _problem = problem;
    }

    private readonly string _problem;

    /// <summary>The reward function; of a weighted sum, the part that failed.</summary>
    public string RewardName { get; }

    /// <summary>The prompt whose group was scored.</summary>
    public string PromptId { get; }

    /// <summary>Which completion of the group, from 0; null when the whole group failed.</summary>
    public int? CompletionIndex { get; }

    /// <summary>The same failure of another completion.</summary>
    internal RewardException At(string promptId, int completionIndex) => new(RewardName, promptId, completionIndex, _problem, InnerException);

    private static string Describe(string rewardName, string promptId, int? completionIndex, string problem)
    {
        string place = completionIndex is { } index
            ? string.Create(CultureInfo.InvariantCulture, $"completion {index} of prompt '{TerminalText.EscapeLine(promptId)}'")
            : $"the group of prompt '{TerminalText.EscapeLine(promptId)}'";
        return $"Reward '{rewardName}' {TerminalText.Escape(problem)} on {place}. To leave such completions out instead, set RewardOptions.OnError to Abstain.";
    }
}
