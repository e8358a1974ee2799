using System.Text.Json;
using Grpo.Models.Qwen.Config;

namespace Grpo.Models.Qwen.Text;

/// <summary>Refuses settings of <c>tokenizer_config.json</c> that would give a text other ids than Qwen2's.</summary>
/// <remarks>
/// Settings of decoding, truncation and padding change no id and are ignored. <c>add_bos_token</c> matters only for Qwen2's own class. For
/// other classes the chat template writes the token itself, and rendered text is encoded without adding any.
/// </remarks>
internal static class TokenizerSettings
{
    private static readonly (string Field, string? Needs, string Consequence)[] MustBeOff =
    [
        ("add_prefix_space", null, "a space would be put before each text"),
        ("split_special_tokens", null, "special tokens would be encoded as ordinary text"),
        ("do_lower_case", null, "text would be written in lower case"),
        ("add_bos_token", "bos_token", "a token would be put before each text"),
        ("add_eos_token", "eos_token", "a token would be put behind each text"),
    ];

    // Byte-level BPE like Qwen2's with another expression for words. Their vocab.json and merges.txt look the same.
    private static readonly string[] OtherClasses =
        ["GPT2", "Roberta", "Bart", "CodeGen", "Longformer", "LED", "Blenderbot", "Deberta", "Whisper", "CLIP", "OPT", "GPTNeoX", "Bloom"];

    /// <summary>Checks the settings of a folder.</summary>
    /// <exception cref="InvalidDataException">A setting changes ids, or is of the wrong kind.</exception>
    public static void RequireQwen2(TokenizerFiles files)
    {
        if (files.Find(TokenizerFiles.Configuration) is not { } content)
        {
            return;
        }

        using var json = new JsonFile(files.PathOf(TokenizerFiles.Configuration), content);
        string? name = JsonFile.TryGet(json.Root, "tokenizer_class", out JsonElement type) ? json.Text(type, "tokenizer_class") : null;
        bool isOther = name is not null && OtherClasses.Any(other => name.StartsWith(other + "Tokenizer", StringComparison.Ordinal));
        if (isOther && files.Find(TokenizerFiles.Tokenizer) is null)
        {
            throw json.Error(
                $"tokenizer_class is \"{name}\", which splits words otherwise than Qwen2's. Only Qwen2's tokenization is implemented.");
        }

        bool isQwen2 = name is null || name.StartsWith("Qwen2", StringComparison.Ordinal);
        foreach ((string field, string? needs, string consequence) in MustBeOff)
        {
            if (!JsonFile.TryGet(json.Root, field, out JsonElement value) || value.ValueKind == JsonValueKind.False)
            {
                continue;
            }

            bool isHarmless = needs is not null && (!isQwen2 || !JsonFile.TryGet(json.Root, needs, out _));
            if (value.ValueKind != JsonValueKind.True || !isHarmless)
            {
                throw json.Error(
                    $"{field} is {ConfigFields.Excerpt(value)} but must be false: {consequence}. "
                    + "Only Qwen2's tokenization is implemented.");
            }
        }
    }
}
