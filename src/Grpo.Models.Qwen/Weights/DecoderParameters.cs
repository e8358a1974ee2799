using Grpo.Models.Qwen.Config;

namespace Grpo.Models.Qwen.Weights;

/// <summary>The names and shapes of a model's parameters, computed from the configuration without allocating the model.</summary>
internal static class DecoderParameters
{
    /// <summary>The name of an output layer that is not tied.</summary>
    internal const string Head = "lm_head.weight";

    /// <summary>The name of the embedding, which is also the output layer if both are tied.</summary>
    internal const string Embedding = "model.embed_tokens.weight";

    /// <summary>Lists the name and shape of every parameter, in the order of the modules.</summary>
    internal static IEnumerable<(string Name, long[] Shape)> List(DecoderConfig config)
    {
        long hidden = config.HiddenSize;
        long queries = (long)config.AttentionHeadCount * config.HeadWidth;
        long keys = (long)config.KeyValueHeadCount * config.HeadWidth;
        yield return (Embedding, [config.VocabularySize, hidden]);
        for (int i = 0; i < config.LayerCount; i++)
        {
            string layer = $"model.layers.{i}.";
            yield return (layer + "input_layernorm.weight", [hidden]);
            yield return (layer + "self_attn.q_proj.weight", [queries, hidden]);
            yield return (layer + "self_attn.q_proj.bias", [queries]);
            yield return (layer + "self_attn.k_proj.weight", [keys, hidden]);
            yield return (layer + "self_attn.k_proj.bias", [keys]);
            yield return (layer + "self_attn.v_proj.weight", [keys, hidden]);
            yield return (layer + "self_attn.v_proj.bias", [keys]);
            yield return (layer + "self_attn.o_proj.weight", [hidden, queries]);
            yield return (layer + "post_attention_layernorm.weight", [hidden]);
            yield return (layer + "mlp.gate_proj.weight", [config.IntermediateSize, hidden]);
            yield return (layer + "mlp.up_proj.weight", [config.IntermediateSize, hidden]);
            yield return (layer + "mlp.down_proj.weight", [hidden, config.IntermediateSize]);
        }

        yield return ("model.norm.weight", [hidden]);
        if (!config.TieWordEmbeddings)
        {
            yield return (Head, [config.VocabularySize, hidden]);
        }
    }

    /// <summary>
    /// True if a checkpoint may hold this tensor although the model has no such parameter, because it follows from the configuration.
    /// </summary>
    internal static bool IsRedundant(string name) => name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal);
}
