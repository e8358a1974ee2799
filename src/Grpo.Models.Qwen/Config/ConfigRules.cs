using System.Text.Json;
using System.Text.RegularExpressions;

namespace Grpo.Models.Qwen.Config;

/// <summary>Refuses a <c>config.json</c> with fields that would make the model compute something else than its family.</summary>
/// <remarks>
/// A field that the library reads is checked where it is read. Every other field whose name is listed here, or contains a word of the same
/// mathematics, must have its neutral value. All remaining fields count as notes and are kept. The names are those of other model families
/// and of fine-tunes with code of their own. The check does not mark fields as read, so a neutral field is written back on saving.
/// </remarks>
internal static partial class ConfigRules
{
    private const RegexOptions AnyCase = RegexOptions.IgnoreCase | RegexOptions.CultureInvariant;

    private const string Angles = "positions would be rotated by other angles";
    private const string Attention = "attention would weigh other tokens";
    private const string Scale = "activations would have another scale";

    private static readonly (string Neutral, Func<JsonElement, DecoderConfig, bool> IsNeutral, string Reason, string[] Fields)[] Rules =
    [
        ("off", IsOff, "weights would have other names and types",
            ["quantization_config", "quantization", "compression_config", "sparsity_config", "pruned_heads"]),
        ("off", IsOff, "linear layers would have biases that the family's have not",
            ["use_bias", "o_proj_bias", "lm_head_bias", "head_bias"]),
        ("1", IsOne, "products would be sums of parts, with other rounding", ["pretraining_tp"]),
        ("off", IsOff, "logits would be bounded",
            ["attn_logit_softcapping", "final_logit_softcapping", "attn_logit_softcap", "final_logit_softcap", "attention_logit_cap",
             "logit_softcap",
             "logits_soft_cap"]),
        ("1", IsOne, Angles, ["partial_rotary_factor", "rotary_pct", "rotary_percent", "rope_pct", "rope_ratio", "rope_scaling_factor"]),
        ("the width of a head", IsHeadWidth, Angles, ["rotary_dim", "rope_dim"]),
        ("off", IsOff, Angles,
            ["rope_local_base_freq", "rope_interleave", "rope_interleaved", "use_dynamic_ntk", "use_mrope", "mrope_section",
             "no_rope_layers",
             "no_rope_layer_interval"]),
        ("\"rope\"", (value, _) => IsWord(value, "rope", "rotary"), Angles, ["position_embedding_type", "position_encoding"]),
        ("\"default\"", (value, _) => IsWord(value, "default"), Angles, ["rope_type"]),
        ("off", IsOff, "positions would be told otherwise than by rotation", ["alibi", "use_alibi", "learned_pos_emb"]),
        ("true", IsTrue, "tokens would see those that follow", ["is_causal", "causal", "causal_attention", "use_causal_mask"]),
        ("off", IsOff, "tokens would see those that follow, or another text",
            ["use_bidirectional_attention", "bidirectional_attention", "bidirectional", "is_encoder_decoder", "add_cross_attention",
                "prefix_lm"]),
        ("off", IsOff, Attention,
            ["use_logn_attn", "attention_chunk_size", "attention_window_size", "local_attention", "sliding_window_pattern",
             "attention_sinks",
             "use_attention_sinks", "num_attention_sinks", "clip_qkv", "attn_output_gate", "use_gated_attention",
             "scale_attn_by_inverse_layer_idx", "attn_temperature_tuning"]),
        ("1/√(width of a head)", IsAttentionScale, Attention, ["attention_multiplier", "attention_scale", "softmax_scale", "attn_scale"]),
        ("the width of a head", IsHeadWidth, Attention, ["query_pre_attn_scalar"]),
        ("true", IsTrue, Attention, ["scale_attn_weights"]),
        ("1", IsOne, Scale,
            ["residual_multiplier", "embedding_multiplier", "logits_scaling", "logit_scale", "scale_emb", "embedding_scale", "embed_scale",
             "lm_head_multiplier", "key_multiplier", "attention_in_multiplier", "attention_out_multiplier", "mlp_multipliers",
             "residual_scale", "logits_multiplier"]),
        ("off", IsOff, Scale, ["scale_depth", "dim_model_base", "scale_embedding", "normalize_embedding", "mup_width_multiplier"]),
        ("\"silu\"", (value, _) => IsWord(value, "silu", "swish"), "the feed-forward layer would compute another function",
            ["hidden_activation", "activation_function", "hidden_activation_function", "mlp_activation", "act_fn", "ffn_act"]),
        ("\"rmsnorm\"", (value, _) => IsWord(value, "rmsnorm", "rms_norm", "RMSNorm"), "the norms would be others",
            ["norm_type", "normalization_type", "norm_function"]),
        ("rms_norm_eps", (value, config) => IsNumber(value, config.RmsNormEpsilon), "the norms would be others",
            ["norm_eps", "layer_norm_eps", "layernorm_epsilon", "layer_norm_epsilon"]),
        ("off", IsOff, "the norms would be others",
            ["zero_centered_gamma", "rms_norm_add_unit_offset", "use_post_norm", "post_norm", "sandwich_norm"]),
        ("off", IsOff, "the layers would be joined otherwise",
            ["parallel_residual", "use_parallel_residual", "parallel_attn", "apply_residual_connection_post_layernorm",
             "num_kv_shared_layers",
             "cla_share_factor", "layer_replication"]),
        ("off", IsOff, "layers would be mixtures of experts",
            ["num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts", "moe_intermediate_size",
                "shared_expert_intermediate_size"]),
        ("off", IsOff, "keys and values would be compressed", ["kv_lora_rank", "q_lora_rank", "qk_rope_head_dim"]),
        ("off", IsOff, "the model would be part of another one", ["text_config", "vision_config", "audio_config"]),
        ("without a model", NamesNoModel, "the model would be computed by code that comes with it", ["auto_map"]),
    ];

    // Parts that not every family has. A field must say what the model has.
    private static readonly Part[] Parts =
    [
        new(config => config.QueryKeyValueBias, "queries, keys and values of the model have biases",
            "queries, keys and values would have biases", ["attention_bias", "qkv_bias"]),
        new(config => config.MlpBias, "the feed-forward layer of the model has biases", "the feed-forward layer would have biases",
            ["mlp_bias"]),
        new(config => config.QueryKeyNorm, "queries and keys of the model are normalized", "queries and keys would be normalized",
            ["qk_norm", "use_qk_norm", "qk_layernorm", "use_qk_layernorm"]),
    ];

    // No list can hold all spellings of these names. The first matching pattern decides.
    private static readonly (Regex Name, string Neutral, Func<JsonElement, DecoderConfig, bool> IsNeutral, string Reason)[] Patterns =
    [
        (SoftCap(), "off", IsOff, "logits would be bounded"),
        (Rotary(), "off", IsOff, Angles),
        (NotCausal(), "off", IsOff, "tokens would see those that follow"),
        (Causal(), "true", IsTrue, "tokens would see those that follow"),
        (Bias(), "off", IsOff, "linear layers would have other biases than the family's"),
        (Quantized(), "off", IsOff, "weights would have other names and types"),
        (Scaled(), "1", (value, config) => IsOff(value, config) || IsOne(value, config), Scale),
    ];

    /// <summary>Adds a problem for each field that is not neutral.</summary>
    /// <param name="fields">The fields of the file.</param>
    /// <param name="config">The configuration that was read from them.</param>
    internal static void Check(ConfigFields fields, DecoderConfig config)
    {
        foreach ((string neutral, Func<JsonElement, DecoderConfig, bool> isNeutral, string reason, string[] names) in Rules)
        {
            foreach (string name in names)
            {
                if (fields.Peek(name) is { } value)
                {
                    Require(fields, name, value, isNeutral(value, config), neutral, reason);
                }
            }
        }

        foreach (Part part in Parts)
        {
            foreach (string name in part.Fields)
            {
                if (fields.Peek(name) is { } value)
                {
                    Require(fields, name, value, part, config);
                }
            }
        }

        HashSet<string> known =
            [.. Rules.SelectMany(rule => rule.Fields), .. Parts.SelectMany(part => part.Fields), .. RopeFields.OtherNamesOfTheta];
        foreach ((string name, JsonElement value) in fields.Unread()
            .Where(field => field.Value.ValueKind != JsonValueKind.Null && !known.Contains(field.Key)))
        {
            string plain = name.Replace('-', '_');
            if (AttentionBias().IsMatch(plain))
            {
                Require(fields, name, value, Parts[0], config);
            }
            else if (Array.Find(Patterns, pattern => pattern.Name.IsMatch(plain)) is { Name: not null } fits)
            {
                Require(fields, name, value, fits.IsNeutral(value, config), fits.Neutral, fits.Reason);
            }
        }
    }

    private static void Require(ConfigFields fields, string name, JsonElement value, Part part, DecoderConfig config)
    {
        if (part.IsIn(config))
        {
            Require(fields, name, value, IsTrue(value, config), "true", part.ReasonIfIn);
        }
        else
        {
            Require(fields, name, value, IsOff(value, config), "off", part.ReasonIfNot);
        }
    }

    private static void Require(ConfigFields fields, string name, JsonElement value, bool isNeutral, string neutral, string reason)
    {
        if (!isNeutral)
        {
            fields.Problems.Add(neutral == "off"
                ? $"{name} is set but not supported: {reason}. It is {ConfigFields.Excerpt(value)}. Use a checkpoint without it."
                : $"{name} is {ConfigFields.Excerpt(value)} but only {neutral} is supported: {reason}.");
        }
    }

    private static bool IsOff(JsonElement value, DecoderConfig config) => value.ValueKind switch
    {
        JsonValueKind.False => true,
        JsonValueKind.Number => IsNumber(value, 0),
        JsonValueKind.String => value.ValueEquals(""),
        JsonValueKind.Array => value.GetArrayLength() == 0,
        JsonValueKind.Object => !value.EnumerateObject().Any(),
        _ => false,
    };

    private static bool IsTrue(JsonElement value, DecoderConfig config) => value.ValueKind == JsonValueKind.True;

    private static bool IsOne(JsonElement value, DecoderConfig config) =>
        value.ValueKind == JsonValueKind.Array ? value.EnumerateArray().All(item => IsNumber(item, 1)) : IsNumber(value, 1);

    private static bool IsHeadWidth(JsonElement value, DecoderConfig config) => IsNumber(value, config.HeadWidth);

    private static bool IsAttentionScale(JsonElement value, DecoderConfig config) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double scale)
        && Math.Abs((scale * Math.Sqrt(config.HeadWidth)) - 1) < 1e-6;

    private static bool IsNumber(JsonElement value, double expected) =>
        value.ValueKind == JsonValueKind.Number && value.TryGetDouble(out double number) && number == expected;

    private static bool IsWord(JsonElement value, params ReadOnlySpan<string> words)
    {
        foreach (string word in words)
        {
            if (value.ValueKind == JsonValueKind.String && value.ValueEquals(word))
            {
                return true;
            }
        }

        return false;
    }

    private static bool NamesNoModel(JsonElement value, DecoderConfig config) =>
        value.ValueKind == JsonValueKind.Object
            && !value.EnumerateObject().Any(entry => entry.Name.StartsWith("AutoModel", StringComparison.Ordinal));

    [GeneratedRegex("soft_?cap|logits?_cap|capping$", AnyCase | RegexOptions.NonBacktracking)]
    private static partial Regex SoftCap();

    [GeneratedRegex(
        "(^|_)m?rope(_|$)|rope_?scal|rotary|yarn|(^|_)ntk(_|$)|^(long|short)_factor|(position|"
        + "seq_len)_interpolation|^original_max_position",
        AnyCase | RegexOptions.NonBacktracking)]
    private static partial Regex Rotary();

    [GeneratedRegex("non_?causal|not_causal|bidirectional", AnyCase | RegexOptions.NonBacktracking)]
    private static partial Regex NotCausal();

    [GeneratedRegex("(^|_)causal(_|$)", AnyCase | RegexOptions.NonBacktracking)]
    private static partial Regex Causal();

    [GeneratedRegex("(attn|attention|qkv|^[qkv]_proj).*_bias$", AnyCase | RegexOptions.NonBacktracking)]
    private static partial Regex AttentionBias();

    [GeneratedRegex("(^|_)bias(es)?$", AnyCase | RegexOptions.NonBacktracking)]
    private static partial Regex Bias();

    [GeneratedRegex("quantiz|^quant_|load_in_[0-9]+_?bit", AnyCase | RegexOptions.NonBacktracking)]
    private static partial Regex Quantized();

    [GeneratedRegex(
        "^use_mup$|^mup|(logits?|output|embed[a-z]*|residual|attn|attention|softmax|hidden)_.*(scale|scaling|multiplier)",
        AnyCase | RegexOptions.NonBacktracking)]
    private static partial Regex Scaled();

    /// <summary>A part of a model that a family may have or not.</summary>
    private sealed record Part(Func<DecoderConfig, bool> IsIn, string ReasonIfIn, string ReasonIfNot, string[] Fields);
}
