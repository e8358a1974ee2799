using Grpo.Models.Qwen.Cpu;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Decoding;

/// <summary>The weights of a decoder layer, for <see cref="HostDecoder"/>.</summary>
internal sealed unsafe class HostLayer
{
    /// <param name="weight">Gives the layer's weight of a name.</param>
    /// <param name="int8">The model in 8 bits, or null.</param>
    internal HostLayer(Func<string, Tensor> weight, Int8Weights? int8)
    {
        AttentionNorm = HostMemory.Address(weight("input_layernorm.weight"));
        MlpNorm = HostMemory.Address(weight("post_attention_layernorm.weight"));
        QueryBias = HostMemory.Address(weight("self_attn.q_proj.bias"));
        KeyBias = HostMemory.Address(weight("self_attn.k_proj.bias"));
        ValueBias = HostMemory.Address(weight("self_attn.v_proj.bias"));
        Queries = Of("self_attn.q_proj");
        Keys = Of("self_attn.k_proj");
        Values = Of("self_attn.v_proj");
        Output = Of("self_attn.o_proj");
        Gate = Of("mlp.gate_proj");
        Up = Of("mlp.up_proj");
        Down = Of("mlp.down_proj");

        HostWeight Of(string name) => new(weight(name + ".weight"), int8);
    }

    internal float* AttentionNorm { get; }

    internal float* MlpNorm { get; }

    internal float* QueryBias { get; }

    internal float* KeyBias { get; }

    internal float* ValueBias { get; }

    internal HostWeight Queries { get; }

    internal HostWeight Keys { get; }

    internal HostWeight Values { get; }

    internal HostWeight Output { get; }

    internal HostWeight Gate { get; }

    internal HostWeight Up { get; }

    internal HostWeight Down { get; }
}
