namespace Grpo.Models.Qwen.Text;

/// <summary>The settings by which a byte-level tokenizer makes words of a text, and tokens of words.</summary>
/// <param name="Words">The rules that split text into words.</param>
/// <param name="IsComposed">True if text is brought into normalization form C first.</param>
internal sealed record TokenizerPipeline(WordRules Words, bool IsComposed)
{
    /// <summary>Qwen2's: its own words in form C.</summary>
    public static TokenizerPipeline Qwen2 { get; } = new(WordRules.Qwen2, IsComposed: true);

    /// <summary>True if a word that is a token of the vocabulary is not merged (<c>ignore_merges</c>).</summary>
    public bool TakesWholeWords { get; init; }

    /// <summary>True if a byte without a token is left out. Otherwise every byte that text can hold needs a token.</summary>
    public bool DropsUnknownBytes { get; init; }

    /// <summary>The ids that a <c>TemplateProcessing</c> stage puts before a text.</summary>
    public IReadOnlyList<int> Prefix { get; init; } = [];

    /// <summary>True if <c>vocab.json</c> and <c>merges.txt</c> of a Qwen2 tokenizer would give the same ids.</summary>
    public bool IsQwen2 => Words == WordRules.Qwen2 && IsComposed && !TakesWholeWords && Prefix.Count == 0;

    /// <summary>Returns the text as it is split into words. A lone surrogate, which UTF-8 cannot express, becomes U+FFFD.</summary>
    /// <exception cref="NotSupportedException">The text needs Unicode's tables and the process runs without them.</exception>
    public string Normalize(string text) => IsComposed ? CanonicalText.Normalize(text) : CanonicalText.ReplaceLoneSurrogates(text);
}
