using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Export;

/// <summary>The facts about a model family that llama.cpp needs.</summary>
/// <param name="Name">
/// The name of the architecture in llama.cpp, which is also the prefix of its metadata. It equals <see cref="DecoderConfig.ModelType"/>.
/// </param>
internal sealed record GgufArchitecture(string Name)
{
    private static readonly GgufArchitecture[] All =
    [
        new("qwen2") { HasFreeHeadWidth = false },
        new("qwen3"),
        new("llama") { InterleavesRope = true, HasRopeFactors = true, HasOptionalBiases = true },
    ];

    /// <summary>
    /// True if llama.cpp rotates neighboring rows of q and k instead of rows half a head apart, so that they must be reordered.
    /// </summary>
    private bool InterleavesRope { get; init; }

    /// <summary>True if llama.cpp reads a divisor for each rotary frequency, which Llama 3's scaling needs.</summary>
    private bool HasRopeFactors { get; init; }

    /// <summary>True if the output projection and the feed-forward layer may have biases.</summary>
    private bool HasOptionalBiases { get; init; }

    /// <summary>True if the heads together may be wider or narrower than the hidden state.</summary>
    private bool HasFreeHeadWidth { get; init; } = true;

    /// <summary>Finds the architecture of a model.</summary>
    /// <exception cref="NotSupportedException">llama.cpp cannot compute what the model computes.</exception>
    internal static GgufArchitecture Of(DecoderConfig config)
    {
        GgufArchitecture found = All.FirstOrDefault(known => known.Name == config.ModelType)
            ?? throw new NotSupportedException($"model_type \"{config.ModelType}\" cannot be written as GGUF. {Instead}");
        string? problem = found.ProblemOf(config);
        return problem is null ? found : throw new NotSupportedException($"llama.cpp's architecture {found.Name} {problem}. {Instead}");
    }

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
        if (config.RopeScaling is { } scaling)
        {
            DescribeScaling(file, scaling, config);
        }
    }

    /// <summary>Brings a weight into llama.cpp's order of rows.</summary>
    /// <param name="name">The name in the checkpoint.</param>
    /// <param name="weight">The weight. Borrowed.</param>
    /// <param name="config">The configuration of the model.</param>
    /// <returns><paramref name="weight"/> itself if no row moves, else a copy that the caller's scope owns.</returns>
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

    /// <summary>Returns the divisors of the rotary frequencies under Llama 3's scaling, [D/2]; null for another scaling.</summary>
    internal static float[]? RopeFactors(DecoderConfig config)
    {
        if (config.RopeScaling is not { Kind: RopeScalingKind.Llama3 } scaling)
        {
            return null;
        }

        using var scope = TensorScope.BeginNoGrad();
        Tensor plain = RotaryFrequencies.Compute(config with { RopeScaling = null }, CPU);
        return DeviceTransfer.ToArray<float>((plain / RotaryFrequencies.Compute(config, CPU)).to(ScalarType.Float32));
    }

    private const string Instead = "Export the model as safetensors.";

    private string? ProblemOf(DecoderConfig config) => config switch
    {
        { OutputBias: true } or { MlpBias: true } when !HasOptionalBiases =>
            "has no biases in the output projection and feed-forward layer",
        { RopeScaling.Kind: RopeScalingKind.Llama3 } when !HasRopeFactors => "has no rotary scaling of type llama3",
        { RopeScaling: { Kind: RopeScalingKind.Yarn, Truncate: false } } => "always rounds the band of YaRN to whole indices (truncate)",
        _ when !HasFreeHeadWidth && config.AttentionHeadCount * config.HeadWidth != config.HiddenSize =>
            $"needs num_attention_heads × head_dim = hidden_size, but {config.AttentionHeadCount} × {config.HeadWidth} is not "
            + $"{config.HiddenSize}",
        _ => null,
    };

    // Llama 3's scaling is in the divisors alone.
    private void DescribeScaling(GgufFile file, RopeScaling scaling, DecoderConfig config)
    {
        string prefix = $"{Name}.rope.scaling";
        if (scaling.Kind != RopeScalingKind.Llama3)
        {
            file.Add($"{prefix}.type", scaling.KindName);
            file.Add($"{prefix}.factor", scaling.Factor);
        }

        if (scaling.Kind == RopeScalingKind.Yarn)
        {
            file.Add($"{prefix}.original_context_length", (uint)(scaling.OriginalMaxPositions ?? config.MaxPositions));
            file.Add($"{prefix}.yarn_beta_fast", scaling.BetaFast);
            file.Add($"{prefix}.yarn_beta_slow", scaling.BetaSlow);
            // llama.cpp multiplies by 0.1 ln(factor) + 1 in any case.
            file.Add($"{prefix}.attn_factor", scaling.Gain / ((0.1 * Math.Log(scaling.Factor)) + 1));
        }
    }

    // The numbers of llama_ftype.
    private static uint FileTypeOf(GgufType matrices) => matrices switch
    {
        GgufType.F32 => 0,
        GgufType.F16 => 1,
        GgufType.Q8_0 => 7,
        _ => 32,
    };
}
