using Grpo.IO;
using Grpo.Modeling;

namespace Grpo.Rollouts;

/// <summary>Renders prompts with a chat template, encodes them, and finds the tokens that end an answer.</summary>
/// <remarks>A prompt that is too long is refused, never cut.</remarks>
public sealed class PromptEncoder
{
    private readonly ITokenizer _tokenizer;
    private readonly IChatTemplate _template;

    /// <summary>Creates an encoder for one tokenizer and one chat template.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="template">The chat template.</param>
    /// <exception cref="ArgumentException">
    /// No token ends a completion, or the template's <see cref="IEndOfTurnTemplate.EndOfTurn"/> does not encode to exactly one token.
    /// </exception>
    public PromptEncoder(ITokenizer tokenizer, IChatTemplate template)
    {
        ArgumentNullException.ThrowIfNull(template);
        _tokenizer = CheckedText.Require(tokenizer);
        _template = template;
        EndTokenIds = EndTokens.From(tokenizer, template);
    }

    /// <summary>
    /// The token ids that end a completion: the end tokens of the tokenizer, and the token with which the template closes a message.
    /// </summary>
    /// <remarks>
    /// Rollouts, evaluations, supervised training and replays all use this set. If the template does not implement
    /// <see cref="IEndOfTurnTemplate"/>, it renders an answer once, and the first special token after the answer counts.
    /// </remarks>
    public IReadOnlySet<int> EndTokenIds { get; }

    /// <summary>Renders and encodes a prompt.</summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="maxTokens">The number of tokens that a prompt may have. At least 1.</param>
    /// <returns>The token ids that the policy receives.</returns>
    /// <exception cref="ArgumentException">The prompt has no tokens or more than <paramref name="maxTokens"/>.</exception>
    /// <exception cref="InvalidOperationException">
    /// The template returned no text, or the tokenizer returned null or an id beyond its vocabulary.
    /// </exception>
    public IReadOnlyList<int> Encode(Prompt prompt, int maxTokens)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        IReadOnlyList<int> ids = Encode(prompt);
        if (ids.Count == 0 || ids.Count > maxTokens)
        {
            throw new ArgumentException(
                $"Prompt '{TerminalText.EscapeLine(prompt.Id)}' has {ids.Count} tokens but must have 1 to {maxTokens}. "
                + "Raise MaxPromptTokens, or leave the prompt out of the data set.",
                nameof(prompt));
        }

        return ids;
    }

    /// <summary>Renders and encodes a prompt of any length.</summary>
    internal IReadOnlyList<int> Encode(Prompt prompt) =>
        CheckedText.EncodePrompt(_tokenizer, CheckedText.Render(_template, prompt.Messages, prompt), prompt);
}
