using Grpo.Diagnostics;

namespace Grpo;

/// <summary>Renders prompts with the chat template and encodes them; refuses what does not fit.</summary>
/// <param name="tokenizer">The tokenizer.</param>
/// <param name="template">The chat template.</param>
public sealed class PromptEncoder(ITokenizer tokenizer, IChatTemplate template)
{
    private readonly ITokenizer _tokenizer = CheckedText.Require(tokenizer);
    private readonly IChatTemplate _template = template ?? throw new ArgumentNullException(nameof(template));

    /// <summary>The ids that the policy is given for a prompt.</summary>
    /// <param name="prompt">The prompt.</param>
    /// <param name="maxTokens">The longest prompt allowed.</param>
    /// <exception cref="ArgumentException">The prompt is empty or longer than allowed; it is never cut.</exception>
    /// <exception cref="InvalidOperationException">The template returned no text, or the tokenizer null or an id beyond its vocabulary.</exception>
    public IReadOnlyList<int> Encode(Prompt prompt, int maxTokens)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        IReadOnlyList<int> ids = CheckedText.Encode(_tokenizer, CheckedText.Render(_template, prompt.Messages, prompt), prompt);
        if (ids.Count == 0 || ids.Count > maxTokens)
        {
            throw new ArgumentException(
                $"Prompt '{TerminalText.EscapeLine(prompt.Id)}' has {ids.Count} tokens but must have 1 to {maxTokens}. Raise MaxPromptTokens, or leave the prompt out of the data set.",
                nameof(prompt));
        }

        return ids;
    }
}
