using System.Text.Json;
using Grpo.Models.Qwen.Config;

namespace Grpo.Models.Qwen.Text;

/// <summary>The settings of <c>tokenizer_config.json</c>: refuses those that would give a text other ids.</summary>
/// <remarks>
/// Settings of decoding, truncation and padding change no id and are ignored. So is <c>add_eos_token</c> outside Qwen2's own class:
/// rendered text is encoded without adding any token.
/// </remarks>
internal static class TokenizerSettings
{
    private static readonly (string Field, string? Needs, string Consequence)[] MustBeOff =
    [
        ("add_prefix_space", null, "a space would be put before each text"),
        ("split_special_tokens", null, "special tokens would be encoded as ordinary text"),
        ("do_lower_case", null, "text would be written in lower case"),
        ("add_eos_token", "eos_token", "a token would be put behind each text"),
    ];

    /// <summary>Checks the settings of a folder.</summary>
    /// <exception cref="InvalidDataException">A setting changes ids and is not implemented, or is of the wrong kind.</exception>
    public static void RequireKnown(TokenizerFiles files)
    {
        using JsonFile? json = Open(files);
        if (json is null)
        {
            return;
        }

        bool isQwen2 = ClassOf(json) is not { } name || name.StartsWith("Qwen2", StringComparison.Ordinal);
        foreach ((string field, string? needs, string consequence) in MustBeOff)
        {
            if (!JsonFile.TryGet(json.Root, field, out JsonElement value) || value.ValueKind == JsonValueKind.False)
            {
                continue;
            }

            bool isHarmless = needs is not null && (!isQwen2 || !JsonFile.TryGet(json.Root, needs, out _));
            if (value.ValueKind != JsonValueKind.True || !isHarmless)
            {
                throw json.Error($"{field} is {ConfigFields.Excerpt(value)} but must be false: {consequence}, which is not implemented.");
            }
        }
    }

    /// <summary>
    /// Returns how a folder with <c>vocab.json</c> and <c>merges.txt</c> splits words, which those do not say: as the class does. A
    /// vocabulary of Qwen2.5's size is Qwen2.5's in any class, as in R1-Distill-Qwen.
    /// </summary>
    /// <exception cref="InvalidDataException">The class is neither Qwen2's nor GPT-2's, and the vocabulary is not Qwen2.5's.</exception>
    public static TokenizerPipeline PipelineOfPair(TokenizerFiles files, int vocabularySize)
    {
        using JsonFile? json = Open(files);
        string? name = json is null ? null : ClassOf(json);
        return name switch
        {
            null or "Qwen2Tokenizer" or "Qwen2TokenizerFast" => TokenizerPipeline.Qwen2,
            "GPT2Tokenizer" or "GPT2TokenizerFast" => new TokenizerPipeline(WordRules.Gpt2, IsComposed: false),
            _ when vocabularySize == AddedTokenReader.Qwen25VocabularySize => TokenizerPipeline.Qwen2,
            _ => throw json!.Error(
                $"tokenizer_class is \"{name}\", whose words {TokenizerFiles.Vocabulary} and {TokenizerFiles.Merges} do not tell. "
                + $"Add the checkpoint's {TokenizerFiles.Tokenizer}; without it only Qwen2Tokenizer and GPT2Tokenizer are known."),
        };
    }

    /// <summary>Returns <c>add_bos_token</c>; null if it is not set.</summary>
    public static bool? AddsBeginToken(TokenizerFiles files)
    {
        using JsonFile? json = Open(files);
        return json is null || !JsonFile.TryGet(json.Root, "add_bos_token", out JsonElement value) ? null
            : value.ValueKind is JsonValueKind.True or JsonValueKind.False ? value.GetBoolean()
            : throw json.Error($"add_bos_token is {ConfigFields.Excerpt(value)} but must be true or false.");
    }

    private static JsonFile? Open(TokenizerFiles files) => files.Find(TokenizerFiles.Configuration) is { } content
        ? new JsonFile(files.PathOf(TokenizerFiles.Configuration), content)
        : null;

    private static string? ClassOf(JsonFile json) =>
        JsonFile.TryGet(json.Root, "tokenizer_class", out JsonElement type) ? json.Text(type, "tokenizer_class") : null;
}
