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

    public static byte[] Write(IReadOnlyList<AddedToken> addedTokens, string endToken, string padToken)
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
            json.WriteNull("bos_token");
            json.WriteBoolean("clean_up_tokenization_spaces", false);
            json.WriteString("eos_token", endToken);
            json.WriteString("errors", "replace");
            json.WriteString("pad_token", padToken);
            json.WriteBoolean("split_special_tokens", false);
            json.WriteString("tokenizer_class", "Qwen2Tokenizer");
            json.WriteNull("unk_token");
            json.WriteEndObject();
        }

        return stream.ToArray();
    }
}
