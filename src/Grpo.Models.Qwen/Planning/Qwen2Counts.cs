using Grpo.Models.Qwen.Config;

namespace Grpo.Models.Qwen.Planning;

/// <summary>How many numbers the weights of a model have.</summary>
/// <param name="config">The model's shape.</param>
internal sealed class Qwen2Counts(Qwen2Config config)
{
    /// <summary>Width of all query heads, A·D.</summary>
    public long QueryWidth { get; } = (long)config.AttentionHeadCount * config.HeadWidth;

    /// <summary>Width of all key heads, K·D.</summary>
    public long KeyWidth { get; } = (long)config.KeyValueHeadCount * config.HeadWidth;

    /// <summary>The embedding, V·H.</summary>
    public long Embedding { get; } = (long)config.VocabularySize * config.HiddenSize;

    /// <summary>Embedding and output layer, which may be the same.</summary>
    public long Embeddings => config.TieWordEmbeddings ? Embedding : 2 * Embedding;

    /// <summary>The seven projections of a layer, without biases.</summary>
    public long LayerProjections => LoraOptions.AllTargetModules.Sum(name => Inputs(name) * Outputs(name));

    /// <summary>A layer: projections, biases of q, k and v, two norms.</summary>
    public long Layer => LayerProjections + QueryWidth + (2 * KeyWidth) + (2L * config.HiddenSize);

    /// <summary>The whole model.</summary>
    public long All => Embeddings + (config.LayerCount * Layer) + config.HiddenSize;

    /// <summary>The adapters of all layers.</summary>
    public long Adapters(LoraOptions lora) => config.LayerCount * lora.TargetModules.Sum(name => lora.Rank * (Inputs(name) + Outputs(name)));

    private long Inputs(string projection) => projection switch
    {
        "o_proj" => QueryWidth,
        "down_proj" => config.IntermediateSize,
        _ => config.HiddenSize,
    };

    private long Outputs(string projection) => projection switch
    {
        "q_proj" => QueryWidth,
        "k_proj" or "v_proj" => KeyWidth,
        "gate_proj" or "up_proj" => config.IntermediateSize,
        _ => config.HiddenSize,
    };
}
