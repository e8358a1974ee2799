using Grpo.IO;
using Grpo.Modeling;
using Grpo.Rollouts;
using Microsoft.Extensions.AI;

namespace Grpo.Training;

/// <summary>Splits a conversation with its answer into prompt ids and completion ids exactly as decoding would see them.</summary>
internal static class SupervisedEncoder
{
    public static TokenSequence Encode(
        SupervisedExample example, ITokenizer tokenizer, IChatTemplate template, IReadOnlySet<int> endTokenIds)
    {
        string prompt = CheckedText.Render(template, example.Prompt.Messages, example.Prompt);
        string whole = CheckedText.Render(
            template, [.. example.Prompt.Messages, new ChatMessage(ChatRole.Assistant, example.Completion)], example.Prompt,
            addGenerationPrompt: false);
        if (!whole.StartsWith(prompt, StringComparison.Ordinal))
        {
            throw new ArgumentException(
                $"The chat template renders prompt '{TerminalText.EscapeLine(example.Prompt.Id)}' differently with an answer behind it, so "
                + "the answer cannot be told from the prompt.");
        }

        IReadOnlyList<int> promptIds = CheckedText.Encode(tokenizer, prompt, example.Prompt);
        IReadOnlyList<int> ids = CheckedText.Encode(tokenizer, whole[prompt.Length..], example.Prompt);
        if (promptIds.Count == 0)
        {
            throw new ArgumentException(
                $"The prompt of example '{TerminalText.EscapeLine(example.Prompt.Id)}' has no tokens; a model needs at least one. "
                + "Leave the example out.");
        }

        int end = -1;
        for (int i = 0; i < ids.Count && end < 0; i++)
        {
            end = endTokenIds.Contains(ids[i]) ? i : -1;
        }

        if (end < 0)
        {
            throw new ArgumentException(
                "The chat template closes an assistant message without an end token; a model trained on that would never stop.");
        }

        return new TokenSequence(promptIds, [.. ids.Take(end + 1)]);
    }
}
