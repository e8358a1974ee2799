using System.Text.Json.Nodes;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;

namespace Grpo.Models.Qwen.Tests;

public sealed class DecoderConfigTests
{
    // The shape of Qwen2.5-0.5B, with the fields that its file has.
    private const string Qwen05B = """
        {
          "architectures": ["Qwen2ForCausalLM"], "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645,
          "hidden_act": "silu", "hidden_size": 896, "initializer_range": 0.02, "intermediate_size": 4864,
          "max_position_embeddings": 32768, "max_window_layers": 21, "model_type": "qwen2", "num_attention_heads": 14,
          "num_hidden_layers": 24, "num_key_value_heads": 2, "rms_norm_eps": 1e-06,
          "rope_theta": 1000000.0, "sliding_window": 32768, "tie_word_embeddings": true, "torch_dtype": "bfloat16",
          "transformers_version": "4.43.1", "use_cache": true, "use_sliding_window": false, "vocab_size": 151936
        }
        """;

    [Fact]
    public void Parse_reads_every_field_of_a_real_file()
    {
        DecoderConfig config = DecoderConfig.Parse(Qwen05B);
        Assert.Equal(151_936, config.VocabularySize);
        Assert.Equal(896, config.HiddenSize);
        Assert.Equal(4_864, config.IntermediateSize);
        Assert.Equal(24, config.LayerCount);
        Assert.Equal(14, config.AttentionHeadCount);
        Assert.Equal(2, config.KeyValueHeadCount);
        Assert.Equal(64, config.HeadWidth);
        Assert.Equal(32_768, config.MaxPositions);
        Assert.Equal(1e-6, config.RmsNormEpsilon);
        Assert.Equal(1e6, config.RopeTheta);
        Assert.True(config.TieWordEmbeddings);
        Assert.Equal(0.02, config.InitializerRange);
        Assert.Equal([151_645], config.EosTokenIds);
        Assert.Equal("bfloat16", config.StoredType);
        Assert.Equal(
            ["bos_token_id", "max_window_layers", "sliding_window", "transformers_version", "use_cache"],
            config.OtherFields.Keys.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void ToJson_writes_what_was_read_unknown_fields_included()
    {
        JsonNode before = JsonNode.Parse(Qwen05B)!;
        JsonNode after = JsonNode.Parse(DecoderConfig.Parse(Qwen05B).ToJson())!;
        Assert.True(JsonNode.DeepEquals(before, after), after.ToJsonString());
    }

    [Theory]
    [InlineData("Qwen/Qwen2.5-0.5B", true)]
    [InlineData("/home/someone/base", false)]
    [InlineData("C:\\models\\base", false)]
    [InlineData("./base", false)]
    [InlineData("", false)]
    public void ToJson_names_no_folder_of_a_machine(string origin, bool isKept)
    {
        JsonNode before = JsonNode.Parse(Qwen05B)!;
        before["_name_or_path"] = origin;
        JsonNode after = JsonNode.Parse(DecoderConfig.Parse(before.ToJsonString()).ToJson())!;
        Assert.Equal(isKept ? origin : null, (string?)after["_name_or_path"]);
    }

    [Fact]
    public void ToJson_is_the_same_text_under_a_culture_with_a_decimal_comma()
    {
        DecoderConfig config = DecoderConfig.Parse(Qwen05B);
        string expected = config.ToJson();
        System.Globalization.CultureInfo culture = System.Globalization.CultureInfo.CurrentCulture;
        try
        {
            System.Globalization.CultureInfo.CurrentCulture = new System.Globalization.CultureInfo("de-DE");
            Assert.Equal(expected, config.ToJson());
            Assert.Equal(1e-6, DecoderConfig.Parse(expected).RmsNormEpsilon);
        }
        finally
        {
            System.Globalization.CultureInfo.CurrentCulture = culture;
        }
    }

    [Fact]
    public void Parse_reads_the_newer_names_of_fields()
    {
        DecoderConfig config = DecoderConfig.Parse(Edit(fields =>
        {
            fields.Remove("torch_dtype");
            fields.Remove("rope_theta");
            fields["dtype"] = "float16";
            fields["rope_parameters"] = new JsonObject { ["rope_type"] = "default", ["rope_theta"] = 5000.0 };
            fields["layer_types"] = new JsonArray([.. Enumerable.Repeat("full_attention", 24).Select(type => (JsonNode)type)]);
            fields["eos_token_id"] = new JsonArray(7, 8);
            fields["head_dim"] = 32;
        }));
        Assert.Equal("float16", config.StoredType);
        Assert.Equal(5_000, config.RopeTheta);
        Assert.Equal([7, 8], config.EosTokenIds);
        Assert.Equal(32, config.HeadWidth);
        DecoderConfig again = DecoderConfig.Parse(config.ToJson());
        Assert.Equal((32, 5_000.0, "float16"), (again.HeadWidth, again.RopeTheta, again.StoredType));
        Assert.Equal([7, 8], again.EosTokenIds);
    }

    [Theory]
    [InlineData("model_type", "\"llama\"", "unknown architecture: model_type \"llama\"")]
    [InlineData("model_type", "\"qwen3_moe\"", "unknown architecture: model_type \"qwen3_moe\"")]
    [InlineData("architectures", "[\"Qwen2ForTokenClassification\"]", "Supported: model_type \"qwen2\" with architecture Qwen2ForCausalLM")]
    [InlineData("hidden_act", "\"gelu\"", "hidden_act is \"gelu\" but only \"silu\" is supported")]
    [InlineData("use_sliding_window", "true", "use_sliding_window is true")]
    [InlineData("rope_scaling", "{\"type\": \"dynamic\", \"factor\": 4}", "rope_scaling is set but not supported")]
    [InlineData("rope_scaling", "{\"type\": \"yarn\", \"factor\": 0}", "rope_scaling.factor is 0 but must be above 0")]
    [InlineData("rope_parameters", "{\"rope_type\": \"yarn\"}", "rope_parameters.rope_type is \"yarn\", but factor is missing")]
    [InlineData("quantization_config", "{\"quant_method\": \"gptq\"}", "quantization_config is set but not supported")]
    [InlineData("layer_types", "[\"sliding_attention\"]", "layer_types contains \"sliding_attention\"")]
    [InlineData("attention_dropout", "0.1", "attention_dropout is 0.1 but only 0")]
    [InlineData("hidden_size", "900", "hidden_size 900 is not divisible by num_attention_heads 14")]
    [InlineData("num_key_value_heads", "3", "num_attention_heads 14 is not divisible by num_key_value_heads 3")]
    [InlineData("head_dim", "63", "head_dim is 63 but RoPE rotates pairs")]
    [InlineData("hidden_size", "-896", "hidden_size is -896 but must be 2 to 65536")]
    [InlineData("num_hidden_layers", "2000000000", "num_hidden_layers is 2000000000 but must be 1 to 1024")]
    [InlineData("vocab_size", "1e300", "vocab_size is 1e300 but must be a whole number")]
    [InlineData("vocab_size", "null", "vocab_size is missing")]
    [InlineData("rms_norm_eps", "0", "rms_norm_eps is 0 but must be above 0")]
    [InlineData("rope_theta", "\"big\"", "rope_theta is \"big\" but must be a number")]
    [InlineData("tie_word_embeddings", "1", "tie_word_embeddings is 1 but must be true or false")]
    [InlineData("torch_dtype", "\"int8\"", "torch_dtype is \"int8\"")]
    [InlineData("eos_token_id", "[1, -2]", "eos_token_id is [1,-2] but must be a token id")]
    public void Parse_refuses_what_it_cannot_do_and_says_why(string field, string value, string message)
    {
        string json = Edit(fields => fields[field] = JsonNode.Parse(value));
        var exception = Assert.Throws<InvalidDataException>(() => DecoderConfig.Parse(json, "some/config.json"));
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
        Assert.Contains("some/config.json", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Parse_lists_all_problems_at_once()
    {
        string json = Edit(fields =>
        {
            fields.Remove("hidden_size");
            fields["vocab_size"] = "many";
            fields["use_sliding_window"] = true;
        });
        string message = Assert.Throws<InvalidDataException>(() => DecoderConfig.Parse(json)).Message;
        Assert.Contains("hidden_size is missing", message, StringComparison.Ordinal);
        Assert.Contains("vocab_size is \"many\"", message, StringComparison.Ordinal);
        Assert.Contains("use_sliding_window is true", message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{", "is not valid JSON")]
    [InlineData("[]", "must hold a JSON object but holds Array")]
    [InlineData("{}", "unknown architecture: model_type \"(none)\"")]
    public void Parse_refuses_text_that_is_no_configuration(string json, string message) =>
        ErrorAssert.Says<InvalidDataException>(message, () => DecoderConfig.Parse(json));

    [Fact]
    public void Load_names_the_folder_that_is_missing_or_empty()
    {
        DirectoryInfo folder = Directory.CreateTempSubdirectory();
        try
        {
            ErrorAssert.Says<FileNotFoundException>(folder.FullName, () => DecoderConfig.Load(folder.FullName));
            string missing = Path.Combine(folder.FullName, "none");
            ErrorAssert.Says<DirectoryNotFoundException>(missing, () => DecoderConfig.Load(missing));
            File.WriteAllText(Path.Combine(folder.FullName, "config.json"), new string(' ', (1 << 20) + 1));
            ErrorAssert.Says<InvalidDataException>("1048577 bytes", () => DecoderConfig.Load(folder.FullName));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    [Fact]
    public void A_model_refuses_a_configuration_that_cannot_be_built()
    {
        DecoderConfig config = TinyModels.Config() with { KeyValueHeadCount = 4 };
        var exception = Assert.Throws<ArgumentException>(() => CausalLM.Initialize(config, seed: 1));
        Assert.Contains("num_attention_heads 6 is not divisible by num_key_value_heads 4", exception.Message, StringComparison.Ordinal);
    }

    private static string Edit(Action<JsonObject> change)
    {
        JsonObject fields = JsonNode.Parse(Qwen05B)!.AsObject();
        change(fields);
        return fields.ToJsonString();
    }
}
