using Grpo.Models.Qwen.Cpu;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Decoding;

/// <summary>The weights of a decoder layer, for <see cref="CpuDecoder"/>.</summary>
internal sealed unsafe class CpuLayer
{
    /// <param name="weight">Returns the layer's weight of a name; null if the model has no such part.</param>
    /// <param name="int8">The weights of the model in 8 bits, or null.</param>
    internal CpuLayer(Func<string, Tensor?> weight, Int8Weights? int8)
    {
        AttentionNorm = Address("input_layernorm.weight");
        MlpNorm = Address("post_attention_layernorm.weight");
        QueryNorm = Address("self_attn.q_norm.weight");
        KeyNorm = Address("self_attn.k_norm.weight");
        Queries = Linear("self_attn.q_proj");
        Keys = Linear("self_attn.k_proj");
        Values = Linear("self_attn.v_proj");
        Output = Linear("self_attn.o_proj");
        Gate = Linear("mlp.gate_proj");
        Up = Linear("mlp.up_proj");
        Down = Linear("mlp.down_proj");

        float* Address(string name) => weight(name) is { } found ? CpuMemory.Address(found) : null;

        CpuLinear Linear(string name) => new(new CpuWeight(weight(name + ".weight")!, int8), Address(name + ".bias"));
    }

    internal float* AttentionNorm { get; }

    internal float* MlpNorm { get; }

    /// <summary>The weight of the norm of each query head; null without one.</summary>
    internal float* QueryNorm { get; }

    /// <summary>The weight of the norm of each key head; null without one.</summary>
    internal float* KeyNorm { get; }

    internal CpuLinear Queries { get; }

    internal CpuLinear Keys { get; }

    internal CpuLinear Values { get; }

    internal CpuLinear Output { get; }

    internal CpuLinear Gate { get; }

    internal CpuLinear Up { get; }

    internal CpuLinear Down { get; }
}

/// <summary>A weight with its bias, for <see cref="CpuDecoder"/>.</summary>
/// <param name="weight">The weight.</param>
/// <param name="bias">The bias; null without one.</param>
internal sealed unsafe class CpuLinear(CpuWeight weight, float* bias)
{
    private readonly float* _bias = bias;

    internal CpuWeight Weight => weight;

    /// <summary>Adds the bias to some columns of the output of a product.</summary>
    /// <param name="output">The output, [rows, out].</param>
    /// <param name="rows">The number of rows.</param>
    /// <param name="part">The columns.</param>
    /// <typeparam name="T">The vectors of the processor.</typeparam>
    internal void AddBias<T>(float* output, int rows, CpuPart part)
        where T : unmanaged, IFloats<T>
    {
        if (_bias is null)
        {
            return;
        }

        for (int row = 0; row < rows; row++)
        {
            CpuMath.Add<T>(output + ((long)row * weight.Outputs) + part.From, _bias + part.From, part.To - part.From);
        }
    }
}
