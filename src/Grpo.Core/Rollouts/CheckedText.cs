using System.Globalization;
using Grpo.IO;
using Grpo.Modeling;
using Microsoft.Extensions.AI;

namespace Grpo.Rollouts;

/// <summary>Calls a tokenizer and a chat template, and checks their results before these become a prompt or an answer.</summary>
internal static class CheckedText
{
    /// <summary>Requires that the end tokens and the padding token are ids of the tokenizer.</summary>
    /// <param name="tokenizer">The plug-in, not null.</param>
    /// <returns>The tokenizer itself.</returns>
    /// <exception cref="InvalidOperationException">
    /// The tokenizer has no ids, a null set of end tokens, or an end or padding token beyond its vocabulary.
    /// </exception>
    public static ITokenizer Require(ITokenizer tokenizer)
    {
        ArgumentNullException.ThrowIfNull(tokenizer);
        string name = tokenizer.GetType().Name;
        int size = tokenizer.VocabularySize;
        if (size < 1)
        {
            throw new InvalidOperationException(Text($"{name}.VocabularySize is {size} but must be 1 or more."));
        }

        // An empty set is allowed here: EndTokens also counts the token with which the template closes a message.
        IReadOnlySet<int> ends = tokenizer.EndTokenIds
            ?? throw new InvalidOperationException(
                $"{name}.EndTokenIds is null; it must be a set, which may be empty where the chat template names an end.");
        foreach (int id in ends)
        {
            RequireId(tokenizer, id, "EndTokenIds holds");
        }

        RequireId(tokenizer, tokenizer.PadTokenId, "PadTokenId is");
        return tokenizer;
    }

    /// <summary>Renders a conversation.</summary>
    /// <param name="template">The plug-in.</param>
    /// <param name="messages">The conversation.</param>
    /// <param name="prompt">The prompt of the conversation, for error messages.</param>
    /// <param name="addGenerationPrompt">True if the model is to answer next.</param>
    /// <exception cref="InvalidOperationException">The template returned null, or an empty text for messages that have text.</exception>
    public static string Render(IChatTemplate template, IReadOnlyList<ChatMessage> messages, Prompt prompt, bool addGenerationPrompt = true)
    {
        string? text = template.Render(messages, addGenerationPrompt);
        return text is null || (text.Length == 0 && messages.Any(message => message.Text.Length > 0))
            ? throw new InvalidOperationException(
                $"{template.GetType().Name}.Render returned {(text is null ? "null" : "an empty text")} for prompt "
                + $"'{TerminalText.EscapeLine(prompt.Id)}', which has {messages.Count} messages; a model needs at least one token.")
            : text;
    }

    /// <summary>Encodes text.</summary>
    /// <param name="tokenizer">The plug-in.</param>
    /// <param name="text">The text.</param>
    /// <param name="prompt">The prompt that the text belongs to, for error messages.</param>
    /// <exception cref="InvalidOperationException">The tokenizer returned null, or an id beyond its vocabulary.</exception>
    public static IReadOnlyList<int> Encode(ITokenizer tokenizer, string text, Prompt prompt)
    {
        IReadOnlyList<int>? ids = tokenizer.Encode(text);
        if (ids is null)
        {
            throw new InvalidOperationException(
                $"{tokenizer.GetType().Name}.Encode returned null for prompt '{TerminalText.EscapeLine(prompt.Id)}'.");
        }

        int size = tokenizer.VocabularySize;
        for (int i = 0; i < ids.Count; i++)
        {
            if (ids[i] < 0 || ids[i] >= size)
            {
                RequireId(tokenizer, ids[i], $"Encode returned for prompt '{TerminalText.EscapeLine(prompt.Id)}', in place {i}, the id");
            }
        }

        return ids;
    }

    /// <summary>Encodes a rendered prompt. A beginning-of-text token that the template writes appears once.</summary>
    /// <remarks>
    /// A tokenizer may put that token before every text, as <c>add_bos_token</c> says. Then the template's own would be a second one.
    /// </remarks>
    /// <inheritdoc cref="Encode(ITokenizer, string, Prompt)"/>
    public static IReadOnlyList<int> EncodePrompt(ITokenizer tokenizer, string text, Prompt prompt)
    {
        IReadOnlyList<int> ids = Encode(tokenizer, text, prompt);
        if (ids.Count < 2 || ids[0] != ids[1] || tokenizer.Decode([ids[0]], skipSpecialTokens: false) is not { Length: > 0 } first)
        {
            return ids;
        }

        bool isWrittenOnce = text.StartsWith(first, StringComparison.Ordinal)
            && !text.AsSpan(first.Length).StartsWith(first, StringComparison.Ordinal);
        return isWrittenOnce ? [.. ids.Skip(1)] : ids;
    }

    /// <summary>Encodes the text of an answer, without a token that the tokenizer puts before every text.</summary>
    /// <param name="tokenizer">The plug-in.</param>
    /// <param name="text">The text of the answer.</param>
    /// <param name="prompt">The prompt that the answer belongs to, for error messages.</param>
    /// <param name="promptIds">The ids of the prompt.</param>
    public static IReadOnlyList<int> EncodeAnswer(ITokenizer tokenizer, string text, Prompt prompt, IReadOnlyList<int> promptIds)
    {
        IReadOnlyList<int> ids = Encode(tokenizer, text, prompt);
        bool isAdded = ids.Count > 0 && promptIds.Count > 0 && ids[0] == promptIds[0]
            && tokenizer.Decode([ids[0]], skipSpecialTokens: false) is { Length: > 0 } first
            && !text.StartsWith(first, StringComparison.Ordinal);
        return isAdded ? [.. ids.Skip(1)] : ids;
    }

    /// <summary>Decodes a completion.</summary>
    /// <param name="tokenizer">The plug-in.</param>
    /// <param name="tokenIds">The token ids of the completion.</param>
    /// <exception cref="InvalidOperationException">The tokenizer returned null.</exception>
    public static string Decode(ITokenizer tokenizer, IReadOnlyList<int> tokenIds) => tokenizer.Decode(tokenIds)
        ?? throw new InvalidOperationException(
            Text($"{tokenizer.GetType().Name}.Decode returned null for a completion of {tokenIds.Count} tokens; ")
                + "it must return a text, which may be empty.");

    private static void RequireId(ITokenizer tokenizer, int id, string what)
    {
        if (id < 0 || id >= tokenizer.VocabularySize)
        {
            throw new InvalidOperationException(
                Text($"{tokenizer.GetType().Name}.{what} {id}, but ids are 0 to {tokenizer.VocabularySize - 1} (VocabularySize)."));
        }
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
