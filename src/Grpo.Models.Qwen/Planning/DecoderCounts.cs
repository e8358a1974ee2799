using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Quantization;

namespace Grpo.Models.Qwen.Planning;

/// <summary>The numbers of elements of a model's weights.</summary>
/// <param name="config">The configuration of the model.</param>
internal sealed class DecoderCounts(DecoderConfig config)
{
    /// <summary>The width of all query heads, A·D.</summary>
    public long QueryWidth { get; } = (long)config.AttentionHeadCount * config.HeadWidth;

    /// <summary>The width of all key heads, K·D.</summary>
    public long KeyWidth { get; } = (long)config.KeyValueHeadCount * config.HeadWidth;

    /// <summary>The elements of the embedding, V·H.</summary>
    public long Embedding { get; } = (long)config.VocabularySize * config.HiddenSize;

    /// <summary>The elements of embedding and output layer, which may be the same.</summary>
    public long Embeddings => config.TieWordEmbeddings ? Embedding : 2 * Embedding;

    /// <summary>The elements of a layer's seven projections, without biases.</summary>
    public long LayerProjections => LoraOptions.AllTargetModules.Sum(name => Inputs(name) * Outputs(name));

    /// <summary>The bytes of a layer's seven projections in 4 bits.</summary>
    public long PackedLayerProjections => LoraOptions.AllTargetModules.Sum(name => new Nf4Layout(Outputs(name), Inputs(name)).Size);

    /// <summary>The elements of the largest projection.</summary>
    public long LargestProjection => LoraOptions.AllTargetModules.Max(name => Inputs(name) * Outputs(name));

    /// <summary>The elements of a layer's norms: two of the hidden states, and those of the heads of queries and keys.</summary>
    public long LayerNorms => (2L * config.HiddenSize) + (config.QueryKeyNorm ? 2L * config.HeadWidth : 0);

    /// <summary>The elements of a layer: projections, biases and norms.</summary>
    public long Layer => LayerProjections + LayerBiases + LayerNorms;

    /// <summary>The elements of the whole model.</summary>
    public long All => Embeddings + (config.LayerCount * Layer) + config.HiddenSize;

    /// <summary>Returns the elements of the adapters of all layers.</summary>
    public long Adapters(LoraOptions lora) =>
        config.LayerCount * lora.TargetModules.Sum(name => lora.Rank * (Inputs(name) + Outputs(name)));

    private long LayerBiases =>
        (config.QueryKeyValueBias ? QueryWidth + (2 * KeyWidth) : 0) + (config.OutputBias ? config.HiddenSize : 0)
        + (config.MlpBias ? (2L * config.IntermediateSize) + config.HiddenSize : 0);

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
