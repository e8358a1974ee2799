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
        yield return (Embedding, [config.VocabularySize, hidden]);
        for (int i = 0; i < config.LayerCount; i++)
        {
            foreach ((string name, long[] shape) in Layer(config))
            {
                yield return ($"model.layers.{i}.{name}", shape);
            }
        }

        yield return ("model.norm.weight", [hidden]);
        if (!config.TieWordEmbeddings)
        {
            yield return (Head, [config.VocabularySize, hidden]);
        }
    }

    private static IEnumerable<(string Name, long[] Shape)> Layer(DecoderConfig config)
    {
        long hidden = config.HiddenSize, inner = config.IntermediateSize;
        long queries = (long)config.AttentionHeadCount * config.HeadWidth, keys = (long)config.KeyValueHeadCount * config.HeadWidth;
        return
        [
            ("input_layernorm.weight", [hidden]),
            .. Projection("self_attn.q_proj", hidden, queries, config.QueryKeyValueBias),
            .. Projection("self_attn.k_proj", hidden, keys, config.QueryKeyValueBias),
            .. Projection("self_attn.v_proj", hidden, keys, config.QueryKeyValueBias),
            .. Projection("self_attn.o_proj", queries, hidden, config.OutputBias),
            .. config.QueryKeyNorm ? HeadNorms(config.HeadWidth) : [],
            ("post_attention_layernorm.weight", [hidden]),
            .. Projection("mlp.gate_proj", hidden, inner, config.MlpBias),
            .. Projection("mlp.up_proj", hidden, inner, config.MlpBias),
            .. Projection("mlp.down_proj", inner, hidden, config.MlpBias),
        ];
    }

    private static (string Name, long[] Shape)[] HeadNorms(long width) =>
        [("self_attn.q_norm.weight", [width]), ("self_attn.k_norm.weight", [width])];

    private static (string Name, long[] Shape)[] Projection(string name, long inputs, long outputs, bool hasBias)
    {
        (string, long[]) weight = (name + ".weight", [outputs, inputs]);
        return hasBias ? [weight, (name + ".bias", [outputs])] : [weight];
    }

    /// <summary>
    /// True if a checkpoint may hold this tensor although the model has no such parameter, because it follows from the configuration.
    /// </summary>
    internal static bool IsRedundant(string name) => name.EndsWith(".rotary_emb.inv_freq", StringComparison.Ordinal);
}
