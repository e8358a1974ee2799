using Grpo.Diagnostics;
using Microsoft.Extensions.AI;

namespace Grpo;

/// <summary>Splits a conversation with its answer into prompt ids and completion ids exactly as decoding would see them.</summary>
internal static class SupervisedEncoder
{
    public static TokenSequence Encode(
        SupervisedExample example, ITokenizer tokenizer, IChatTemplate template, IReadOnlySet<int> endTokenIds, int maxTokens)
    {
        string prompt = template.Render(example.Prompt.Messages);
        string whole = template.Render([.. example.Prompt.Messages, new ChatMessage(ChatRole.Assistant, example.Completion)], addGenerationPrompt: false);
        if (!whole.StartsWith(prompt, StringComparison.Ordinal))
        {
            throw new ArgumentException($"The chat template renders prompt '{TerminalText.EscapeLine(example.Prompt.Id)}' differently with an answer behind it, so the answer cannot be told from the prompt.");
        }

        IReadOnlyList<int> promptIds = tokenizer.Encode(prompt);
        IReadOnlyList<int> ids = tokenizer.Encode(whole[prompt.Length..]);
        int end = -1;
        for (int i = 0; i < ids.Count && end < 0; i++)
        {
            end = endTokenIds.Contains(ids[i]) ? i : -1;
        }

        if (end < 0)
        {
            throw new ArgumentException("The chat template closes an assistant message without an end token; a model trained on that would never stop.");
        }

        if (promptIds.Count + end + 1 > maxTokens)
        {
            throw new ArgumentException($"Example '{TerminalText.EscapeLine(example.Prompt.Id)}' has {promptIds.Count + end + 1} tokens but MaxTokens is {maxTokens}. Raise it, or leave the example out.");
        }

        return new TokenSequence(promptIds, [.. ids.Take(end + 1)]);
    }
}
