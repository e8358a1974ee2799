using Grpo.Models.Qwen.Cpu;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Decoding;

/// <summary>The weights of a decoder layer, for <see cref="CpuDecoder"/>.</summary>
internal sealed unsafe class CpuLayer
{
    /// <param name="weight">Returns the layer's weight of a name.</param>
    /// <param name="int8">The weights of the model in 8 bits, or null.</param>
    internal CpuLayer(Func<string, Tensor> weight, Int8Weights? int8)
    {
        AttentionNorm = CpuMemory.Address(weight("input_layernorm.weight"));
        MlpNorm = CpuMemory.Address(weight("post_attention_layernorm.weight"));
        QueryBias = CpuMemory.Address(weight("self_attn.q_proj.bias"));
        KeyBias = CpuMemory.Address(weight("self_attn.k_proj.bias"));
        ValueBias = CpuMemory.Address(weight("self_attn.v_proj.bias"));
        Queries = Weight("self_attn.q_proj");
        Keys = Weight("self_attn.k_proj");
        Values = Weight("self_attn.v_proj");
        Output = Weight("self_attn.o_proj");
        Gate = Weight("mlp.gate_proj");
        Up = Weight("mlp.up_proj");
        Down = Weight("mlp.down_proj");

        CpuWeight Weight(string name) => new(weight(name + ".weight"), int8);
    }

    internal float* AttentionNorm { get; }

    internal float* MlpNorm { get; }

    internal float* QueryBias { get; }

    internal float* KeyBias { get; }

    internal float* ValueBias { get; }

    internal CpuWeight Queries { get; }

    internal CpuWeight Keys { get; }

    internal CpuWeight Values { get; }

    internal CpuWeight Output { get; }

    internal CpuWeight Gate { get; }

    internal CpuWeight Up { get; }

    internal CpuWeight Down { get; }
}
