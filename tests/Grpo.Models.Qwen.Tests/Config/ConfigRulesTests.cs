using System.Text.Json.Nodes;
using Grpo.Models.Qwen.Config;
using Grpo.Testing;

namespace Grpo.Models.Qwen.Tests;

public sealed class ConfigRulesTests
{
    private const string Plain = """
        {
          "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "vocab_size": 199, "hidden_size": 64, "intermediate_size": 160,
          "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": true
        }
        """;

    // Each of these stands in the config.json of some family, or of a fine-tune, and makes another function of the same weights.
    [Theory]
    [InlineData("mlp_bias", "true")]
    [InlineData("attention_bias", "false")]
    [InlineData("qkv_bias", "false")]
    [InlineData("attn_logit_softcapping", "50.0")]
    [InlineData("final_logit_softcapping", "30.0")]
    [InlineData("logits_soft_cap", "15")]
    [InlineData("partial_rotary_factor", "0.5")]
    [InlineData("rotary_pct", "0.25")]
    [InlineData("rotary_dim", "8")]
    [InlineData("rotary_emb_base", "500000")]
    [InlineData("rope_local_base_freq", "10000.0")]
    [InlineData("rope_interleaved", "true")]
    [InlineData("use_dynamic_ntk", "true")]
    [InlineData("use_mrope", "true")]
    [InlineData("use_logn_attn", "true")]
    [InlineData("no_rope_layers", "[1, 1, 0, 1]")]
    [InlineData("alibi", "true")]
    [InlineData("position_embedding_type", "\"absolute\"")]
    [InlineData("is_causal", "false")]
    [InlineData("use_bidirectional_attention", "true")]
    [InlineData("is_encoder_decoder", "true")]
    [InlineData("add_cross_attention", "true")]
    [InlineData("quantization_config", "{\"quant_method\": \"fp8\"}")]
    [InlineData("compression_config", "{\"format\": \"pack-quantized\"}")]
    [InlineData("use_qk_norm", "true")]
    [InlineData("clip_qkv", "8.0")]
    [InlineData("attention_multiplier", "0.015625")]
    [InlineData("attention_multiplier", "1.0")]
    [InlineData("query_pre_attn_scalar", "256")]
    [InlineData("residual_multiplier", "0.22")]
    [InlineData("embedding_multiplier", "12.0")]
    [InlineData("logits_scaling", "8.0")]
    [InlineData("logit_scale", "0.0625")]
    [InlineData("scale_emb", "12")]
    [InlineData("scale_depth", "1.4")]
    [InlineData("attention_chunk_size", "8192")]
    [InlineData("num_experts", "60")]
    [InlineData("num_local_experts", "8")]
    [InlineData("kv_lora_rank", "512")]
    [InlineData("activation_function", "\"gelu_new\"")]
    [InlineData("hidden_activation", "\"gelu_pytorch_tanh\"")]
    [InlineData("norm_type", "\"layernorm\"")]
    [InlineData("norm_eps", "1e-5")]
    [InlineData("use_parallel_residual", "true")]
    [InlineData("pruned_heads", "{\"0\": [1]}")]
    [InlineData("auto_map", "{\"AutoModelForCausalLM\": \"modeling_qwen.CausalLM\"}")]
    [InlineData("text_config", "{\"hidden_size\": 64}")]
    [InlineData("rope_config", "{\"type\": \"yarn\", \"factor\": 4}")]
    [InlineData("ROPE_SCALING", "{\"type\": \"yarn\", \"factor\": 4}")]
    [InlineData("rope-scaling", "{\"type\": \"yarn\", \"factor\": 4}")]
    [InlineData("yarn", "{\"factor\": 4}")]
    [InlineData("rope_alpha", "1000")]
    [InlineData("global_rope_theta", "1000000")]
    [InlineData("partial_rotary", "0.5")]
    [InlineData("long_factor", "[1.1, 1.2]")]
    [InlineData("original_max_position_embeddings", "4096")]
    [InlineData("position_interpolation_factor", "2")]
    [InlineData("attn_soft_cap", "50")]
    [InlineData("logits_softcap", "30")]
    [InlineData("logit_cap", "30")]
    [InlineData("logits_scale", "0.5")]
    [InlineData("output_multiplier_scale", "2")]
    [InlineData("attention_softmax_scale", "0.5")]
    [InlineData("mup", "true")]
    [InlineData("bias", "true")]
    [InlineData("no_bias", "true")]
    [InlineData("ffn_bias", "true")]
    [InlineData("attn_bias", "false")]
    [InlineData("non_causal", "true")]
    [InlineData("is_bidirectional", "true")]
    [InlineData("quantization_method", "\"awq\"")]
    [InlineData("load_in_4bit", "true")]
    [InlineData("dtype", "\"bfloat16\"", "\"float32\"")]
    public void Parse_refuses_a_field_that_changes_the_function(string field, string value, string? storedType = null)
    {
        string json = With(field, value, storedType);
        var exception = Assert.Throws<InvalidDataException>(() => DecoderConfig.Parse(json));
        Assert.Contains($"{field} is ", exception.Message, StringComparison.Ordinal);
    }

    // The same names with the value that Qwen2 has anyway. 0.25 = 1/√16 and 16 are those of heads of width 16.
    [Theory]
    [InlineData("mlp_bias", "false")]
    [InlineData("attention_bias", "true")]
    [InlineData("attn_logit_softcapping", "null")]
    [InlineData("final_logit_softcapping", "0.0")]
    [InlineData("partial_rotary_factor", "1.0")]
    [InlineData("rotary_dim", "16")]
    [InlineData("rotary_emb_base", "10000")]
    [InlineData("position_embedding_type", "\"rope\"")]
    [InlineData("use_mrope", "false")]
    [InlineData("is_causal", "true")]
    [InlineData("is_encoder_decoder", "false")]
    [InlineData("attention_multiplier", "0.25")]
    [InlineData("query_pre_attn_scalar", "16")]
    [InlineData("residual_multiplier", "1.0")]
    [InlineData("no_rope_layers", "[]")]
    [InlineData("hidden_activation", "\"silu\"")]
    [InlineData("norm_eps", "1e-6")]
    [InlineData("pruned_heads", "{}")]
    [InlineData("auto_map", "{\"AutoTokenizer\": [\"tokenization.T\", null]}")]
    [InlineData("layer_types", "[\"full_attention\", \"full_attention\"]")]
    [InlineData("sliding_window", "1024")]
    [InlineData("rope_alpha", "null")]
    [InlineData("ffn_bias", "false")]
    [InlineData("attn_bias", "true")]
    [InlineData("logits_scale", "1.0")]
    [InlineData("load_in_8bit", "false")]
    [InlineData("initializer_range", "0.02")]
    [InlineData("max_window_layers", "21")]
    [InlineData("use_cache", "true")]
    [InlineData("property", "true")]
    [InlineData("head_dim", "16")]
    [InlineData("pretraining_tp", "1")]
    [InlineData("a_field_of_someones_own", "{\"x\": [1, 2]}")]
    public void Parse_keeps_a_neutral_field_and_ToJson_writes_it(string field, string value)
    {
        JsonNode written = JsonNode.Parse(DecoderConfig.Parse(With(field, value)).ToJson())!;
        Assert.True(written.AsObject().ContainsKey(field), written.ToJsonString());
        Assert.True(JsonNode.DeepEquals(JsonNode.Parse(value), written[field]), written.ToJsonString());
    }

    [Fact]
    public void Parse_refuses_layer_types_of_another_number_of_layers() => Assert.Contains(
        "layer_types names 3 layers but num_hidden_layers is 2.",
        Assert.Throws<InvalidDataException>(
            () => DecoderConfig.Parse(With("layer_types", """["full_attention", "full_attention", "full_attention"]"""))).Message,
        StringComparison.Ordinal);

    [Theory]
    [InlineData("\"rope_scaling\": {\"type\": \"yarn\", \"factor\": 4}, \"rope_scaling\": null")]
    [InlineData("\"rope_theta\": 1000000, \"rope_theta\": 5000")]
    [InlineData("\"rope_parameters\": {\"rope_type\": \"yarn\", \"rope_type\": \"default\"}")]
    public void Parse_refuses_a_field_that_comes_twice(string fields)
    {
        string json = Plain.TrimEnd().TrimEnd('}') + ", " + fields + "}";
        Assert.Contains(
            "names a field twice", Assert.Throws<InvalidDataException>(() => DecoderConfig.Parse(json)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("""{ "type": "yarn", "rope_theta": 1000000.0 }""", "rope_parameters.type is \"yarn\", but factor is missing")]
    [InlineData("""{ "type": "yarn", "factor": 4.0, "mscale": 1.0 }""", "rope_parameters.type is \"yarn\", but mscale is set")]
    [InlineData("""{ "type": "yarn", "factor": 4.0, "beta_fats": 32 }""", "rope_parameters has beta_fats, which is not known")]
    [InlineData("""{ "rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0 }""", "\"llama3\", but low_freq_factor is missing")]
    [InlineData(
        """{ "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0 }""",
        "\"llama3\", but original_max_position_embeddings is missing")]
    [InlineData(
        """{ "rope_type": "dynamic", "factor": 2.0 }""", "rope_parameters.rope_type is \"dynamic\" but must be \"default\", \"linear\"")]
    [InlineData("""{ "rope_type": "longrope", "short_factor": [1.0] }""", "rope_parameters.rope_type is \"longrope\"")]
    [InlineData("""{ "rope_type": null, "type": "linear", "factor": 2.5, "beta_fast": 32 }""", "\"linear\", but beta_fast is set")]
    [InlineData("""{ "rope_type": "default", "type": "mrope", "mrope_section": [2, 3, 3] }""", "rope_type \"default\" and type \"mrope\"")]
    [InlineData("""{ "rope_type": 1 }""", "rope_parameters.rope_type is 1")]
    [InlineData("""{ "factor": 4.0, "rope_theta": 1000000.0 }""", "rope_parameters has factor but neither rope_type nor type")]
    [InlineData("""{ "original_max_position_embeddings": 4096 }""", "rope_parameters has original_max_position_embeddings but neither")]
    [InlineData("""{ "rope_type": "default", "factor": 4.0 }""", "rope_parameters.rope_type is \"default\", but factor")]
    [InlineData(
        """{ "full_attention": { "rope_type": "default", "rope_theta": 1000000.0 } }""", "rope_parameters is nested: full_attention")]
    [InlineData(
        """{ "sliding_attention": { "rope_type": "default" }, "full_attention": { "rope_type": "yarn" } }""",
        "rope_parameters is nested: sliding_attention")]
    [InlineData("""{ "rope_type": "default", "rope_thetta": 1000000.0 }""", "rope_parameters has rope_thetta, which is not known")]
    [InlineData("""{ "rope_type": "default", "partial_rotary_factor": 0.5 }""", "rope_parameters.partial_rotary_factor is 0.5")]
    [InlineData("""[ 1 ]""", "rope_parameters is [1] but must be an object")]
    public void Parse_refuses_rotary_settings_by_name(string settings, string message)
    {
        foreach (string field in (ReadOnlySpan<string>)["rope_parameters", "rope_scaling"])
        {
            var exception = Assert.Throws<InvalidDataException>(() => DecoderConfig.Parse(With(field, settings)));
            Assert.Contains(
                message.Replace("rope_parameters", field, StringComparison.Ordinal), exception.Message, StringComparison.Ordinal);
        }
    }

    [Theory]
    [InlineData("""{ "rope_theta": 5000.0 }""", 5_000)]
    [InlineData("""{ "rope_type": "default", "rope_theta": 5000 }""", 5_000)]
    [InlineData("""{ "type": "default", "rope_theta": 5000.0, "factor": null }""", 5_000)]
    [InlineData("""{ "rope_type": "default", "type": "default" }""", 10_000)]
    [InlineData("""{ "partial_rotary_factor": 1.0 }""", 10_000)]
    [InlineData("""{ }""", 10_000)]
    public void Parse_reads_plain_rotary_settings(string settings, double theta)
    {
        foreach (string field in (ReadOnlySpan<string>)["rope_parameters", "rope_scaling"])
        {
            DecoderConfig config = DecoderConfig.Parse(With(field, settings));
            Assert.Equal(theta, config.RopeTheta);
            Assert.Equal(theta, DecoderConfig.Parse(config.ToJson()).RopeTheta);
        }
    }

    [Fact]
    public void Parse_refuses_two_bases_of_the_angles()
    {
        JsonObject fields = JsonNode.Parse(With("rope_parameters", """{ "rope_type": "default", "rope_theta": 1000000.0 }"""))!.AsObject();
        fields["rope_theta"] = 1e6;
        Assert.Equal(1e6, DecoderConfig.Parse(fields.ToJsonString()).RopeTheta);
        fields["rope_theta"] = 1e4;
        var exception = Assert.Throws<InvalidDataException>(() => DecoderConfig.Parse(fields.ToJsonString()));
        Assert.Contains("rope_theta is 10000 but rope_parameters.rope_theta is 1000000", exception.Message, StringComparison.Ordinal);
    }

    [SharedFact]
    public void Load_refuses_a_factor_without_a_type()
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", File.ReadAllText(SharedData.Path("cases", "rope-factor-without-type.config.json")));
        var exception = Assert.Throws<InvalidDataException>(() => DecoderConfig.Load(folder.Path));
        Assert.Contains(
            "rope_parameters has factor but neither rope_type nor type", exception.Message, StringComparison.Ordinal);
    }

    [SharedFact]
    public void Load_reads_the_older_name_of_the_type_in_the_newer_settings()
    {
        using var folder = new TemporaryFolder();
        folder.Write("config.json", File.ReadAllText(SharedData.Path("cases", "rope-legacy-type.config.json")));
        DecoderConfig config = DecoderConfig.Load(folder.Path);
        Assert.Equal((RopeScalingKind.Yarn, 4.0), (config.RopeScaling!.Kind, config.RopeScaling.Factor));
        Assert.Equal(config.RopeScaling, DecoderConfig.Parse(config.ToJson()).RopeScaling);
    }

    private static string With(string field, string value, string? storedType = null)
    {
        JsonObject fields = JsonNode.Parse(Plain)!.AsObject();
        fields[field] = JsonNode.Parse(value);
        if (storedType is not null)
        {
            fields["torch_dtype"] = JsonNode.Parse(storedType);
        }

        return fields.ToJsonString();
    }
}
