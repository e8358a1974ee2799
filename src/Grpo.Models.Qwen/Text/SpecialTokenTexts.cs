using System.Text.Json;
using Grpo.Models.Qwen.Config;

namespace Grpo.Models.Qwen.Text;

/// <summary>Reads the texts of the special tokens, which chat templates get as variables.</summary>
internal static class SpecialTokenTexts
{
    private static readonly string[] Names =
        ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

    /// <summary>Reads them from <c>tokenizer_config.json</c>, else from <c>special_tokens_map.json</c>.</summary>
    /// <exception cref="InvalidDataException">A file is damaged.</exception>
    public static IReadOnlyDictionary<string, string> Read(TokenizerFiles files)
    {
        var tokens = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (string file in (ReadOnlySpan<string>)[TokenizerFiles.Configuration, TokenizerFiles.SpecialTokens])
        {
            if (files.Find(file) is not { } content)
            {
                continue;
            }

            using var json = new JsonFile(files.PathOf(file), content);
            foreach (string name in Names)
            {
                if (JsonFile.TryGet(json.Root, name, out JsonElement value) && value.ValueKind != JsonValueKind.Null)
                {
                    tokens.TryAdd(name, SpecialTokenIds.ContentOf(json, value, name));
                }
            }
        }

        return tokens;
    }
}
