namespace Grpo.Models.Qwen.Config;

/// <summary>A family of models that the decoder computes: its names in <c>config.json</c>, its parts and its defaults.</summary>
/// <remarks>
/// A family is data. It decides which fields are read and written, and with which defaults. The modules see only the parts that follow.
/// The defaults are those of transformers, which apply where a file leaves a field out.
/// </remarks>
/// <param name="ModelType">The name in <c>model_type</c>.</param>
/// <param name="Name">The name that begins the names of the architectures, such as Qwen2 in Qwen2ForCausalLM.</param>
internal sealed record ModelFamily(string ModelType, string Name)
{
    /// <summary>The end of the name of a language model's architecture.</summary>
    internal const string LanguageModel = "ForCausalLM";

    /// <summary>All families, the default first.</summary>
    internal static readonly IReadOnlyList<ModelFamily> All =
    [
        new("qwen2", "Qwen2") { Models = "Qwen2 and Qwen2.5", AlwaysHasBiases = true, HasSlidingWindow = true },
        new("qwen3", "Qwen3") { Models = "Qwen3, dense", HasQueryKeyNorm = true, HeadWidth = 128, HasSlidingWindow = true },
        new("llama", "Llama")
        {
            Models = "Llama 2 and 3, SmolLM2", MaxPositions = 2_048, HasMlpBiasField = true, MayOmitKeyValueHeads = true,
        },
    ];

    /// <summary>The models of the family, in words.</summary>
    internal required string Models { get; init; }

    /// <summary>
    /// True if queries, keys and values always have biases and the output has none. Else <c>attention_bias</c> decides for all four.
    /// </summary>
    internal bool AlwaysHasBiases { get; init; }

    /// <summary>True if queries and keys are normalized per head before the rotation.</summary>
    internal bool HasQueryKeyNorm { get; init; }

    /// <summary>True if <c>mlp_bias</c> decides whether the feed-forward layer has biases.</summary>
    internal bool HasMlpBiasField { get; init; }

    /// <summary>True if the files say whether they use sliding windows.</summary>
    internal bool HasSlidingWindow { get; init; }

    /// <summary>True if each query head has a key head of its own where <c>num_key_value_heads</c> is missing.</summary>
    internal bool MayOmitKeyValueHeads { get; init; }

    /// <summary>The default of <c>head_dim</c>; null means the hidden size divided by the number of heads.</summary>
    internal int? HeadWidth { get; init; }

    /// <summary>The default of <c>max_position_embeddings</c>.</summary>
    internal int MaxPositions { get; init; } = 32_768;

    /// <summary>The families and their architectures, for messages.</summary>
    /// <param name="head">The end of the architecture's name.</param>
    internal static string Supported(string head) => string.Join(
        ", ", All.Select(family => $"model_type \"{family.ModelType}\" with architecture {family.Name}{head} ({family.Models})"));

    /// <summary>Returns the family of a <c>model_type</c>, or null if it is not known.</summary>
    internal static ModelFamily? Find(string? modelType) => All.FirstOrDefault(family => family.ModelType == modelType);
}
