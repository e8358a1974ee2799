using Grpo.IO;
using Grpo.Rollouts;
using Grpo.Tensors;

namespace Grpo.Callbacks;

/// <summary>
/// Holds the tokens on record against the policy before it sees them: an id beyond its table ends on a GPU in an assertion of the device, after
/// which the process can do nothing more on it.
/// </summary>
internal static class RecordedTokens
{
    /// <exception cref="InvalidDataException">An id is none of the policy's, or a prompt has none.</exception>
    public static void Require(FlightStep step, IPolicy policy)
    {
        int vocabulary = TensorThread.Run(() => PolicyVocabulary.Find(policy));
        for (int i = 0; i < step.Groups.Count; i++)
        {
            FlightGroup group = step.Groups[i];
            if (group.PromptTokenIds.Count == 0)
            {
                throw new InvalidDataException($"Prompt {i} of step {step.Step}, '{TerminalText.EscapeLine(group.PromptId)}', has no tokens: no recorder writes that.");
            }

            foreach (int id in group.PromptTokenIds.Concat(group.Completions.SelectMany(completion => completion.TokenIds)))
            {
                if (id < 0 || id >= vocabulary)
                {
                    throw new InvalidDataException(
                        $"Prompt {i} of step {step.Step}, '{TerminalText.EscapeLine(group.PromptId)}', or a completion of it has the token {id}; " +
                        $"the policy has {vocabulary}, from 0. The record is of another model, or not of a recorder.");
                }
            }
        }
    }
}
