using System.Text.Json.Nodes;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;

namespace Grpo.Models.Qwen.Tests;

/// <summary>The fields of <c>config.json</c> that each family reads, refuses and writes back.</summary>
public sealed class ModelFamilyTests
{
    // The shape and fields of Qwen3-0.6B.
    private const string Qwen3 = """
        {
          "architectures": ["Qwen3ForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 151643,
          "eos_token_id": 151645, "head_dim": 128, "hidden_act": "silu", "hidden_size": 1024, "initializer_range": 0.02,
          "intermediate_size": 3072, "max_position_embeddings": 40960, "max_window_layers": 28, "model_type": "qwen3",
          "num_attention_heads": 16, "num_hidden_layers": 28, "num_key_value_heads": 8, "rms_norm_eps": 1e-06, "rope_scaling": null,
          "rope_theta": 1000000, "sliding_window": null, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
          "transformers_version": "4.51.0", "use_cache": true, "use_sliding_window": false, "vocab_size": 151936
        }
        """;

    // The shape and fields of Llama-3.2-1B, with those of SmolLM2 added.
    private const string Llama = """
        {
          "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0, "bos_token_id": 128000,
          "eos_token_id": [128001, 128008, 128009], "head_dim": 64, "hidden_act": "silu", "hidden_size": 2048, "initializer_range": 0.02,
          "intermediate_size": 8192, "is_llama_config": true, "max_position_embeddings": 131072, "mlp_bias": false, "model_type": "llama",
          "num_attention_heads": 32, "num_hidden_layers": 16, "num_key_value_heads": 8, "pad_token_id": null, "pretraining_tp": 1,
          "rms_norm_eps": 1e-05, "rope_interleaved": false,
          "rope_scaling": {"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
            "rope_type": "llama3"},
          "rope_theta": 500000.0, "tie_word_embeddings": true, "torch_dtype": "bfloat16", "transformers_version": "4.45.0.dev0",
          "use_cache": true, "vocab_size": 128256
        }
        """;

    private static readonly RopeScaling Scaling = new()
    {
        Kind = RopeScalingKind.Llama3,
        Factor = 32,
        LowFrequencyFactor = 1,
        HighFrequencyFactor = 4,
        OriginalMaxPositions = 8192,
    };

    [Fact]
    public void Parse_reads_the_parts_of_Qwen3()
    {
        DecoderConfig config = DecoderConfig.Parse(Qwen3);
        Assert.Equal(("qwen3", 128, true), (config.ModelType, config.HeadWidth, config.QueryKeyNorm));
        Assert.False(config.QueryKeyValueBias || config.OutputBias || config.MlpBias);
        Assert.Null(config.RopeScaling);
    }

    [Fact]
    public void Parse_reads_the_parts_of_Llama()
    {
        DecoderConfig config = DecoderConfig.Parse(Llama);
        Assert.Equal(("llama", 64, 1e-5), (config.ModelType, config.HeadWidth, config.RmsNormEpsilon));
        Assert.False(config.QueryKeyNorm || config.QueryKeyValueBias || config.OutputBias || config.MlpBias);
        Assert.Equal(Scaling, config.RopeScaling);
        Assert.Equal([128_001, 128_008, 128_009], config.EosTokenIds);
    }

    [Theory]
    [InlineData(Qwen3)]
    [InlineData(Llama)]
    public void ToJson_writes_what_was_read(string json)
    {
        JsonObject before = JsonNode.Parse(json)!.AsObject(), after = JsonNode.Parse(DecoderConfig.Parse(json).ToJson())!.AsObject();
        before.Remove(before["rope_scaling"] is null ? "rope_scaling" : "");                            // null means the same as nothing
        Assert.True(JsonNode.DeepEquals(before, after), after.ToJsonString());
    }

    [Theory]
    [MemberData(nameof(TinyModels.AllFamilies), MemberType = typeof(TinyModels))]
    public void Parse_reads_what_ToJson_wrote(string family)
    {
        DecoderConfig config = TinyModels.Config(family: family), again = DecoderConfig.Parse(config.ToJson());
        Assert.Null(config.DifferenceFrom(again));
        Assert.Equal(config.RopeScaling, again.RopeScaling);
        Assert.Equal(
            (config.QueryKeyValueBias, config.OutputBias, config.MlpBias, config.QueryKeyNorm),
            (again.QueryKeyValueBias, again.OutputBias, again.MlpBias, again.QueryKeyNorm));
    }

    // A file may leave out what transformers has a default for: 128 in Qwen3, a key head of its own for each query head in Llama.
    [Fact]
    public void Parse_takes_the_defaults_of_the_family()
    {
        Assert.Equal(128, DecoderConfig.Parse(With(Qwen3, "head_dim", null)).HeadWidth);
        DecoderConfig llama = DecoderConfig.Parse(With(With(Llama, "num_key_value_heads", null), "max_position_embeddings", null));
        Assert.Equal((32, 2_048), (llama.KeyValueHeadCount, llama.MaxPositions));
        Assert.Throws<InvalidDataException>(() => DecoderConfig.Parse(With(Qwen3, "num_key_value_heads", null)));
    }

    [Theory]
    [InlineData(Qwen3)]
    [InlineData(Llama)]
    public void Parse_gives_all_four_projections_biases_with_attention_bias(string json)
    {
        DecoderConfig config = DecoderConfig.Parse(With(json, "attention_bias", "true"));
        Assert.True(config.QueryKeyValueBias && config.OutputBias);
    }

    [Fact]
    public void Parse_gives_the_feed_forward_layer_biases_with_mlp_bias() =>
        Assert.True(DecoderConfig.Parse(With(Llama, "mlp_bias", "true")).MlpBias);

    [Theory]
    [InlineData(Qwen3, "mlp_bias", "true", "mlp_bias is set but not supported")]
    [InlineData(Qwen3, "qkv_bias", "true", "qkv_bias is set but not supported")]
    [InlineData(Qwen3, "qk_norm", "false", "qk_norm is false but only true is supported")]
    [InlineData(Qwen3, "attention_bias", "\"yes\"", "attention_bias is \"yes\" but must be true or false")]
    [InlineData(Qwen3, "model_type", "\"qwen3_moe\"", "unknown architecture: model_type \"qwen3_moe\"")]
    [InlineData(Qwen3, "model_type", "\"qwen2\"", "unknown architecture: model_type \"qwen2\", architectures [Qwen3ForCausalLM]")]
    [InlineData(Qwen3, "num_experts", "128", "num_experts is set but not supported")]
    [InlineData(Qwen3, "use_sliding_window", "true", "use_sliding_window is true")]
    [InlineData(Llama, "qk_norm", "true", "qk_norm is set but not supported")]
    [InlineData(Llama, "model_type", "\"llama4_text\"", "unknown architecture: model_type \"llama4_text\"")]
    [InlineData(Llama, "pretraining_tp", "2", "pretraining_tp is 2 but only 1 is supported")]
    [InlineData(Llama, "rope_interleaved", "true", "rope_interleaved is set but not supported")]
    [InlineData(Llama, "partial_rotary_factor", "0.5", "partial_rotary_factor is 0.5 but only 1")]
    [InlineData(Llama, "hidden_act", "\"gelu\"", "hidden_act is \"gelu\"")]
    [InlineData(Llama, "architectures", "[\"LlamaForSequenceClassification\"]", "unknown architecture: model_type \"llama\"")]
    public void Parse_refuses_by_name_what_the_family_does_not_compute(string json, string field, string value, string message) =>
        ErrorAssert.Says<InvalidDataException>(message, () => DecoderConfig.Parse(With(json, field, value)));

    [Fact]
    public void Parse_names_the_supported_families() => ErrorAssert.Says<InvalidDataException>(
        "model_type \"llama\" with architecture LlamaForCausalLM (Llama 2 and 3, SmolLM2)",
        () => DecoderConfig.Parse(With(Llama, "model_type", "\"mistral\"")));

    // Layers that are named one by one decide, whatever the older switch says.
    [Fact]
    public void Parse_takes_named_full_attention_for_full()
    {
        string layers = $"[{string.Join(", ", Enumerable.Repeat("\"full_attention\"", 28))}]";
        string json = With(With(Qwen3, "layer_types", layers), "sliding_window", "4096");
        Assert.Equal(28, DecoderConfig.Parse(With(json, "use_sliding_window", "true")).LayerCount);
        string last = layers.Replace("full_attention\"]", "sliding_attention\"]", StringComparison.Ordinal);
        ErrorAssert.Says<InvalidDataException>(
            "layer_types contains \"sliding_attention\"", () => DecoderConfig.Parse(With(json, "layer_types", last)));
    }

    [Fact]
    public void Parse_refuses_two_scalings_that_differ_and_names_both()
    {
        const string Newer = """
            {"factor": 16.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
             "rope_type": "llama3", "rope_theta": 500000.0}
            """;
        var error = Assert.Throws<InvalidDataException>(() => DecoderConfig.Parse(With(Llama, "rope_parameters", Newer)));
        Assert.Contains("rope_parameters is (llama3, factor 16,", error.Message, StringComparison.Ordinal);
        Assert.Contains("but rope_scaling is (llama3, factor 32,", error.Message, StringComparison.Ordinal);
        string same = Newer.Replace("16.0", "32.0", StringComparison.Ordinal);
        Assert.Equal(Scaling, DecoderConfig.Parse(With(Llama, "rope_parameters", same)).RopeScaling);
        ErrorAssert.Says<InvalidDataException>(
            "rope_parameters is unscaled but rope_scaling is (llama3",
            () => DecoderConfig.Parse(With(Llama, "rope_parameters", """{"rope_type": "default"}""")));
    }

    [Theory]
    [InlineData("""{"rope_type": "linear", "factor": "2"}""", "rope_scaling.factor is \"2\" but must be a number")]
    [InlineData("""{"rope_type": "linear", "factor": -2}""", "rope_scaling.factor is -2 but must be above 0")]
    [InlineData(
        """{"rope_type": "yarn", "factor": 2, "beta_fast": 1, "beta_slow": 2}""", "beta_fast is 1 but must be at least beta_slow, 2")]
    [InlineData("""{"rope_type": "yarn", "factor": 2, "attention_factor": 0}""", "rope_scaling.attention_factor is 0 but must be above 0")]
    [InlineData("""{"rope_type": "yarn", "factor": 2, "truncate": 1}""", "rope_scaling.truncate is 1 but must be true or false")]
    [InlineData(
        """{"rope_type": "yarn", "factor": 2, "original_max_position_embeddings": 0.5}""",
        "rope_scaling.original_max_position_embeddings is 0.5 but must be a whole number")]
    [InlineData(
        """
        {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 1, "original_max_position_embeddings": 8192}
        """,
        "rope_scaling.high_freq_factor is 1 but must be above 4")]
    public void Parse_refuses_constants_of_a_scaling_that_are_out_of_range(string settings, string message) =>
        ErrorAssert.Says<InvalidDataException>(message, () => DecoderConfig.Parse(With(Llama, "rope_scaling", settings)));

    [Fact]
    public void Yarn_reads_and_writes_all_of_its_constants()
    {
        const string Settings = """
            {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768, "attention_factor": 1.25, "beta_fast": 16.0,
             "beta_slow": 2.0, "truncate": false}
            """;
        DecoderConfig config = DecoderConfig.Parse(With(Qwen3, "rope_scaling", Settings));
        Assert.Equal((1.25, 1.25), (config.RopeScaling!.Gain, config.RopeScaling.AttentionFactor));
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(Settings), JsonNode.Parse(config.ToJson())!["rope_scaling"]));
        // Above a factor of 1 the gain is 0.1 ln(factor) + 1.
        Assert.Equal(1.138629436111989, (config.RopeScaling with { AttentionFactor = null }).Gain, 1e-14);
        Assert.Equal(1, (config.RopeScaling with { AttentionFactor = null, Factor = 0.5 }).Gain);
    }

    [Theory]
    [InlineData("""{"factor": 4.0, "original_max_position_embeddings": 32768, "rope_type": "yarn"}""")]
    [InlineData("""{"factor": 2.5, "rope_type": "linear"}""")]
    public void ToJson_leaves_out_constants_that_are_the_default(string settings) => Assert.True(JsonNode.DeepEquals(
        JsonNode.Parse(settings),
        JsonNode.Parse(DecoderConfig.Parse(With(Qwen3, "rope_scaling", settings)).ToJson())!["rope_scaling"]));

    public static TheoryData<DecoderConfig, string> ImpossibleParts => new()
    {
        { TinyModels.Config() with { ModelType = "gpt2" }, "model_type is \"gpt2\" but must be one of qwen2, qwen3, llama" },
        { TinyModels.Config() with { QueryKeyValueBias = false }, "Queries, keys and values have no biases, but those of Qwen2 have" },
        { TinyModels.Config() with { OutputBias = true }, "The output projection has a bias" },
        { TinyModels.Config() with { QueryKeyNorm = true }, "Queries and keys are normalized, but in Qwen2 they are not" },
        { TinyModels.Config(family: "qwen3") with { MlpBias = true }, "The feed-forward layer has biases, but in Qwen3 it has none" },
        { TinyModels.Config(family: "llama") with { QueryKeyValueBias = true }, "The output projection has no bias" },
    };

    [Theory]
    [MemberData(nameof(ImpossibleParts))]
    public void Initialize_refuses_parts_that_the_family_does_not_have(DecoderConfig config, string message) =>
        ErrorAssert.Says<ArgumentException>(message, () => CausalLM.Initialize(config, seed: 1));

    // Null removes the field.
    private static string With(string json, string field, string? value)
    {
        JsonObject fields = JsonNode.Parse(json)!.AsObject();
        fields.Remove(field);
        if (value is not null)
        {
            fields[field] = JsonNode.Parse(value);
        }

        return fields.ToJsonString();
    }
}
