namespace Grpo.Models.Qwen;

/// <summary>Which of a repository's files a model needs, and how large they may be.</summary>
internal static class HubFiles
{
    public const string Configuration = "config.json";
    public const string Weights = "model.safetensors";
    public const string Index = "model.safetensors.index.json";

    private static readonly string[] Small =
    [
        Configuration, TokenizerFiles.Generation, TokenizerFiles.Configuration, TokenizerFiles.Tokenizer, TokenizerFiles.Vocabulary,
        TokenizerFiles.Merges, TokenizerFiles.AddedTokens, TokenizerFiles.SpecialTokens, "chat_template.jinja",
    ];

    /// <summary>Files to download in order, small ones first; when the last is the index, the weights that it names come after it.</summary>
    public static IReadOnlyList<string> Select(string id, IReadOnlySet<string> files)
    {
        string[] wanted = [.. Small.Where(files.Contains)];
        if (!files.Contains(Configuration))
        {
            throw new HubException($"'{id}' holds no {Configuration}: it is not a model in Hugging Face format.");
        }

        if (!files.Contains(TokenizerFiles.Tokenizer) && !(files.Contains(TokenizerFiles.Vocabulary) && files.Contains(TokenizerFiles.Merges)))
        {
            throw new HubException(
                $"'{id}' holds no tokenizer: neither {TokenizerFiles.Tokenizer} nor {TokenizerFiles.Vocabulary} with {TokenizerFiles.Merges}.");
        }

        string weights = files.Contains(Weights) ? Weights
            : files.Contains(Index) ? Index
            : throw new HubException(
                $"'{id}' holds no safetensors weights: neither {Weights} nor {Index}. Weights in other formats (.bin, .gguf) are not read; "
                + "choose the original model, or convert it.");
        return [.. wanted, weights];
    }

    /// <summary>Largest size that is downloaded: weights as large as they are, everything else bounded.</summary>
    public static long MaxBytes(string file) => file switch
    {
        Configuration or TokenizerFiles.Generation or "chat_template.jinja" => 1_048_576,
        TokenizerFiles.Configuration or TokenizerFiles.AddedTokens or TokenizerFiles.SpecialTokens => 16 * 1_048_576,
        TokenizerFiles.Vocabulary or TokenizerFiles.Merges or Index => 64 * 1_048_576,
        TokenizerFiles.Tokenizer => 128 * 1_048_576,
        _ => long.MaxValue,
    };
}
