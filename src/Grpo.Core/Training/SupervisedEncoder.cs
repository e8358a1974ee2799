using Grpo.IO;
using Grpo.Modeling;
using Grpo.Rollouts;
using Microsoft.Extensions.AI;

namespace Grpo.Training;

/// <summary>Encodes a prompt and its answer into prompt ids and completion ids, exactly as decoding would see them.</summary>
internal static class SupervisedEncoder
{
    /// <summary>Encodes an example.</summary>
    /// <param name="example">The example.</param>
    /// <param name="data">The tokenizer and the chat template.</param>
    /// <param name="endTokenIds">The tokens that end an answer. The completion is cut after the first of them.</param>
    /// <exception cref="ArgumentException">The template or the tokenizer gives no usable prompt or answer.</exception>
    public static TokenSequence Encode(SupervisedExample example, SupervisedData data, IReadOnlySet<int> endTokenIds)
    {
        string prompt = CheckedText.Render(data.Template, example.Prompt.Messages, example.Prompt);
        string whole = CheckedText.Render(
            data.Template, [.. example.Prompt.Messages, new ChatMessage(ChatRole.Assistant, example.Completion)], example.Prompt,
            addGenerationPrompt: false);
        if (!whole.StartsWith(prompt, StringComparison.Ordinal))
        {
            throw new ArgumentException(
                $"The chat template renders prompt '{TerminalText.EscapeLine(example.Prompt.Id)}' differently with an answer behind it, so "
                + "the answer cannot be told from the prompt. Templates that begin answers with <think> do this: pass another template.");
        }

        IReadOnlyList<int> promptIds = CheckedText.EncodePrompt(data.Tokenizer, prompt, example.Prompt);
        IReadOnlyList<int> ids = CheckedText.EncodeAnswer(
            data.Tokenizer, whole[prompt.Length..], example.Prompt, promptIds);
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
