using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;

namespace Grpo.Models.Qwen.Text;

/// <summary>
/// Writes the <c>tokenizer_config.json</c> from which transformers and <see cref="QwenTokenizer.Load"/> read the added tokens.
/// </summary>
internal static class TokenizerConfiguration
{
    // Readable for people. The file is data and never part of a web page.
    public static readonly JsonWriterOptions Indented = new()
    {
        Indented = true,
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
        NewLine = "\n",
    };

    /// <summary>Writes the file.</summary>
    /// <param name="addedTokens">The added tokens.</param>
    /// <param name="names">The tokens that begin, end and pad.</param>
    /// <param name="pipeline">
    /// The settings of the tokenizer. Qwen2's have a class of their own; others need <c>tokenizer.json</c> and the class that reads it.
    /// </param>
    public static byte[] Write(IReadOnlyList<AddedToken> addedTokens, SpecialTokenNames names, TokenizerPipeline pipeline)
    {
        using var stream = new MemoryStream();
        using (var json = new Utf8JsonWriter(stream, Indented))
        {
            json.WriteStartObject();
            json.WriteBoolean("add_prefix_space", false);
            json.WriteStartObject("added_tokens_decoder");
            foreach (AddedToken token in addedTokens.OrderBy(token => token.Id))
            {
                json.WriteStartObject(token.Id.ToString(CultureInfo.InvariantCulture));
                json.WriteString("content", token.Content);
                json.WriteBoolean("lstrip", false);
                json.WriteBoolean("normalized", token.IsNormalized);
                json.WriteBoolean("rstrip", false);
                json.WriteBoolean("single_word", false);
                json.WriteBoolean("special", token.IsSpecial);
                json.WriteEndObject();
            }

            json.WriteEndObject();
            json.WriteString("bos_token", names.Begin);
            json.WriteBoolean("clean_up_tokenization_spaces", false);
            json.WriteString("eos_token", names.End);
            json.WriteString("errors", "replace");
            json.WriteString("pad_token", names.Pad);
            json.WriteBoolean("split_special_tokens", false);
            json.WriteString("tokenizer_class", pipeline.IsQwen2 ? "Qwen2Tokenizer" : "PreTrainedTokenizerFast");
            json.WriteNull("unk_token");
            json.WriteEndObject();
        }

        return stream.ToArray();
    }
}

/// <summary>The tokens that a <c>tokenizer_config.json</c> names.</summary>
/// <param name="End">The token that ends a completion.</param>
/// <param name="Pad">The token that pads.</param>
/// <param name="Begin">The token that begins a text; null if there is none.</param>
internal readonly record struct SpecialTokenNames(string End, string Pad, string? Begin = null);
