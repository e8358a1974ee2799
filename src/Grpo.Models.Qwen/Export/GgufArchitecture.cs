using Grpo.Models.Qwen.Config;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Export;

/// <summary>The facts about a model family that llama.cpp needs.</summary>
/// <param name="Name">The name of the architecture in llama.cpp, which is also the prefix of its metadata.</param>
/// <param name="InterleavesRope">
/// True if llama.cpp rotates neighboring rows of q and k instead of rows half a head apart, so that they must be reordered.
/// </param>
internal sealed record GgufArchitecture(string Name, bool InterleavesRope)
{
    /// <summary>Finds the architecture of a model.</summary>
    /// <exception cref="NotSupportedException">llama.cpp cannot compute what the model computes.</exception>
    internal static GgufArchitecture Of(DecoderConfig config) => new("qwen2", InterleavesRope: false);

    /// <summary>Writes the general metadata and the configuration.</summary>
    internal void Describe(GgufFile file, DecoderConfig config, string name, GgufType matrices)
    {
        file.Add("general.architecture", Name);
        file.Add("general.type", "model");
        file.Add("general.name", name);
        file.Add("general.file_type", FileTypeOf(matrices));
        if (matrices == GgufType.Q8_0)
        {
            file.Add("general.quantization_version", 2u);
        }

        file.Add($"{Name}.block_count", (uint)config.LayerCount);
        file.Add($"{Name}.context_length", (uint)config.MaxPositions);
        file.Add($"{Name}.embedding_length", (uint)config.HiddenSize);
        file.Add($"{Name}.feed_forward_length", (uint)config.IntermediateSize);
        file.Add($"{Name}.attention.head_count", (uint)config.AttentionHeadCount);
        file.Add($"{Name}.attention.head_count_kv", (uint)config.KeyValueHeadCount);
        file.Add($"{Name}.attention.key_length", (uint)config.HeadWidth);
        file.Add($"{Name}.attention.value_length", (uint)config.HeadWidth);
        file.Add($"{Name}.attention.layer_norm_rms_epsilon", config.RmsNormEpsilon);
        file.Add($"{Name}.rope.dimension_count", (uint)config.HeadWidth);
        file.Add($"{Name}.rope.freq_base", config.RopeTheta);
        file.Add($"{Name}.vocab_size", (uint)config.VocabularySize);
    }

    /// <summary>Brings a weight into llama.cpp's order of rows.</summary>
    /// <param name="name">The name in the checkpoint.</param>
    /// <param name="weight">The weight. Borrowed.</param>
    /// <param name="config">The configuration of the model.</param>
    /// <returns>The same weight, or a reordered copy. Owned by the caller's scope.</returns>
    internal Tensor Arrange(string name, Tensor weight, DecoderConfig config)
    {
        int heads = !InterleavesRope ? 0
            : name.Contains(".q_proj.", StringComparison.Ordinal) ? config.AttentionHeadCount
            : name.Contains(".k_proj.", StringComparison.Ordinal) ? config.KeyValueHeadCount
            : 0;
        if (heads == 0)
        {
            return weight;
        }

        // Rows i and i + D/2 of a head become rows 2i and 2i + 1.
        long[] shape = weight.shape;
        return weight.reshape([heads, 2, shape[0] / heads / 2, .. shape[1..]]).transpose(1, 2).reshape(shape);
    }

    /// <summary>Returns the divisors of the rotary frequencies, [D/2]; null if there are none.</summary>
    internal float[]? RopeFactors(DecoderConfig config) => null;

    // The numbers of llama_ftype.
    private static uint FileTypeOf(GgufType matrices) => matrices switch
    {
        GgufType.F32 => 0,
        GgufType.F16 => 1,
        GgufType.Q8_0 => 7,
        _ => 32,
    };
}
