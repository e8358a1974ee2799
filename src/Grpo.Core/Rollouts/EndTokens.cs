using Grpo.IO;
using Grpo.Modeling;
using Microsoft.Extensions.AI;

namespace Grpo.Rollouts;

/// <summary>
/// Finds the tokens that end a completion: the end tokens of the tokenizer, and the token with which the chat template closes a message.
/// </summary>
/// <remarks>
/// The two come from different files and need not agree. The files of base models name <c>&lt;|endoftext|&gt;</c>, while the template
/// closes messages with <c>&lt;|im_end|&gt;</c>.
/// </remarks>
internal static class EndTokens
{
    private const string Answer = "answer";

    /// <summary>Returns the end tokens of a tokenizer and a chat template.</summary>
    /// <exception cref="ArgumentException">
    /// No token ends a completion, or the text that closes a message is not exactly one token.
    /// </exception>
    public static IReadOnlySet<int> From(ITokenizer tokenizer, IChatTemplate template)
    {
        IReadOnlySet<int> ends = tokenizer.EndTokenIds;
        int? closing = template is IEndOfTurnTemplate named ? FindId(tokenizer, named) : FirstSpecialAfterAnswer(tokenizer, template);
        if (closing is { } id && !ends.Contains(id))
        {
            return ends.Append(id).ToHashSet();
        }

        return ends.Count > 0
            ? ends
            : throw new ArgumentException(
                $"Nothing would end a completion: {tokenizer.GetType().Name} names no end token, and {template.GetType().Name} closes "
                + $"messages with none. Name one in {nameof(ITokenizer.EndTokenIds)}, or let the template implement "
                + $"{nameof(IEndOfTurnTemplate)}.",
                nameof(tokenizer));
    }

    private static int FindId(ITokenizer tokenizer, IEndOfTurnTemplate template)
    {
        string text = template.EndOfTurn;
        IReadOnlyList<int> ids = string.IsNullOrEmpty(text) ? [] : tokenizer.Encode(text) ?? [];
        bool hasBeginning = ids.Count == 2 && tokenizer.Encode(string.Empty) is [var beginning] && beginning == ids[0];
        return ids.Count == 1 || hasBeginning
            ? ids[^1]
            : throw new ArgumentException(
                $"{template.GetType().Name} closes messages with '{TerminalText.EscapeLine(text ?? "")}', which is {ids.Count} tokens for "
                + $"{tokenizer.GetType().Name} but must be one: as plain text it would end no completion. "
                + $"Pass an {nameof(IChatTemplate)} whose markers are tokens of this vocabulary.",
                nameof(template));
    }

    /// <summary>
    /// For templates that name no end of a turn: returns the first special token after a rendered answer. Null if there is none or an end
    /// token precedes it.
    /// </summary>
    private static int? FirstSpecialAfterAnswer(ITokenizer tokenizer, IChatTemplate template)
    {
        string? whole;
        try
        {
            whole = template.Render(
                [new ChatMessage(ChatRole.User, "question"), new ChatMessage(ChatRole.Assistant, Answer)], addGenerationPrompt: false);
        }
        catch (NotSupportedException)
        {
            return null; // the template renders questions only
        }

        // A null from a plug-in is reported later, when CheckedText renders and encodes the first prompt.
        int position = whole?.LastIndexOf(Answer, StringComparison.Ordinal) ?? -1;
        string tail = position < 0 ? "" : whole![(position + Answer.Length)..];
        foreach (int id in tail.Length == 0 ? [] : tokenizer.Encode(tail) ?? [])
        {
            if (tokenizer.EndTokenIds.Contains(id))
            {
                return null;
            }

            // A tokenizer may put a beginning-of-text token before every text; it is not part of this one.
            if (tokenizer.Decode([id]) is "" && tokenizer.Decode([id], skipSpecialTokens: false) is { Length: > 0 } text
                && tail.Contains(text, StringComparison.Ordinal))
            {
                return id;
            }
        }

        return null;
    }
}
