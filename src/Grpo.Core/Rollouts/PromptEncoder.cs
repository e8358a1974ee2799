using Grpo.IO;
using Grpo.Modeling;

namespace Grpo.Rollouts;

/// <summary>
/// Renders prompts with the chat template, encodes them, and knows which tokens end an answer; refuses what does not fit.
/// </summary>
public sealed class PromptEncoder
{
    private readonly ITokenizer _tokenizer;
    private readonly IChatTemplate _template;

    /// <summary>Creates an encoder for one tokenizer and one chat template.</summary>
    /// <param name="tokenizer">The tokenizer.</param>
    /// <param name="template">The chat template.</param>
    /// <exception cref="ArgumentException">
    /// No token ends a completion, or <see cref="IEndOfTurnTemplate.EndOfTurn"/> is not one token.
    /// </exception>
    public PromptEncoder(ITokenizer tokenizer, IChatTemplate template)
    {
        ArgumentNullException.ThrowIfNull(template);
        _tokenizer = CheckedText.Require(tokenizer);
        _template = template;
        EndTokenIds = EndTokens.Of(tokenizer, template);
    }

    /// <summary>The ids that end a completion: those of the tokenizer, and the one with which the template closes a message.</summary>
    /// <remarks>
    /// Rollouts, evaluations, supervised training and replays all ask here. A template that does not implement
    /// <see cref="IEndOfTurnTemplate"/> is asked to render an answer, and the first special token behind it counts.
    /// </remarks>
    public IReadOnlySet<int> EndTokenIds { get; }

    /// <summary>The ids that the policy is given for a prompt.</summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="maxTokens">The longest prompt allowed.</param>
    /// <exception cref="ArgumentException">The prompt is empty or longer than allowed; it is never cut.</exception>
    /// <exception cref="InvalidOperationException">The template returned no text, or the tokenizer null or an id beyond its vocabulary.</exception>
    public IReadOnlyList<int> Encode(Prompt prompt, int maxTokens)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        IReadOnlyList<int> ids = Encode(prompt);
        if (ids.Count == 0 || ids.Count > maxTokens)
        {
            throw new ArgumentException(
                $"Prompt '{TerminalText.EscapeLine(prompt.Id)}' has {ids.Count} tokens but must have 1 to {maxTokens}. Raise MaxPromptTokens, or leave the prompt out of the data set.",
                nameof(prompt));
        }

        return ids;
    }

    /// <summary>The ids of a prompt of any length.</summary>
    internal IReadOnlyList<int> Encode(Prompt prompt) =>
        CheckedText.Encode(_tokenizer, CheckedText.Render(_template, prompt.Messages, prompt), prompt);
}
