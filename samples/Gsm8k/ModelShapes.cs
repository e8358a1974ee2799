using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Config;

namespace Grpo.Samples.Gsm8k;

/// <summary>The shapes of real models by name, for models of random weights and for plans.</summary>
internal static class ModelShapes
{
    private static readonly Dictionary<string, Func<QwenTokenizer, DecoderConfig>> All = new(StringComparer.OrdinalIgnoreCase)
    {
        ["tiny"] = tokenizer => TinyShape.Config(tokenizer),
        ["0.5b"] = tokenizer => Qwen25(tokenizer, hidden: 896, intermediate: 4864, layers: 24, heads: 14),
        ["1.5b"] = tokenizer => Qwen25(tokenizer, hidden: 1536, intermediate: 8960, layers: 28, heads: 12),
    };

    /// <summary>The names of all shapes.</summary>
    public static IReadOnlyCollection<string> Names => All.Keys;

    /// <summary>True if a shape has this name, ignoring case.</summary>
    public static bool IsName(string name) => All.ContainsKey(name);

    /// <summary>Returns the shape with a name, with a vocabulary large enough for the tokenizer.</summary>
    public static DecoderConfig Of(string name, QwenTokenizer tokenizer) => All[name](tokenizer);

    // Qwen2.5's published shapes differ only in the sizes. The embedding is padded to a multiple of 128.
    private static DecoderConfig Qwen25(QwenTokenizer tokenizer, int hidden, int intermediate, int layers, int heads) => new()
    {
        VocabularySize = Math.Max(151_936, tokenizer.VocabularySize),
        HiddenSize = hidden,
        IntermediateSize = intermediate,
        LayerCount = layers,
        AttentionHeadCount = heads,
        KeyValueHeadCount = 2,
        RopeTheta = 1_000_000,
        TieWordEmbeddings = true,
        EosTokenIds = [.. tokenizer.EndTokenIds.Order()],
    };
}
