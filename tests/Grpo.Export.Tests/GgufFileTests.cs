using System.Text.Json.Nodes;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Export.Tests;

/// <summary>Reads exported GGUF files with a second implementation of the format.</summary>
public sealed class GgufFileTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();

    [Fact]
    public async Task Metadata_describes_the_model()
    {
        GgufReader file = await ExportAsync(ExportModels.Tiny, ExportType.Float16);
        (string Key, object Value)[] expected =
        [
            ("general.architecture", "qwen2"), ("general.type", "model"), ("general.name", "tiny"), ("general.file_type", 1u),
            ("qwen2.block_count", 4u), ("qwen2.context_length", 2048u), ("qwen2.embedding_length", 128u),
            ("qwen2.feed_forward_length", 384u), ("qwen2.attention.head_count", 4u), ("qwen2.attention.head_count_kv", 2u),
            ("qwen2.attention.key_length", 32u), ("qwen2.attention.value_length", 32u),          // 128 / 4
            ("qwen2.attention.layer_norm_rms_epsilon", 1e-6f), ("qwen2.rope.dimension_count", 32u), ("qwen2.rope.freq_base", 10_000f),
            ("qwen2.vocab_size", 512u), ("tokenizer.ggml.model", "gpt2"), ("tokenizer.ggml.pre", "qwen2"),
            ("tokenizer.ggml.eos_token_id", 511u), ("tokenizer.ggml.eot_token_id", 509u), ("tokenizer.ggml.padding_token_id", 509u),
            ("tokenizer.ggml.add_bos_token", false), ("tokenizer.ggml.add_eos_token", false),
        ];
        Assert.All(expected, pair => Assert.Equal(pair.Value, file.Metadata[pair.Key]));
        Assert.Equal(
            File.ReadAllText(Path.Combine(ExportModels.Tiny, "chat_template.jinja")), file.Metadata["tokenizer.chat_template"]);
        Assert.False(file.Metadata.ContainsKey("general.quantization_version"));
        Assert.False(file.Metadata.ContainsKey("tokenizer.ggml.bos_token_id"));
        Assert.False(file.Tensors.ContainsKey("output.weight"));                                 // tied
        Assert.Equal(2 + (4 * 12), file.Tensors.Count);
    }

    [Fact]
    public async Task Tokens_and_merges_are_those_of_the_files()
    {
        GgufReader file = await ExportAsync(ExportModels.Tiny, ExportType.Float16);
        JsonObject vocabulary = JsonNode.Parse(File.ReadAllText(Path.Combine(ExportModels.Tiny, "vocab.json")))!.AsObject();
        object[] tokens = (object[])file.Metadata["tokenizer.ggml.tokens"], types = (object[])file.Metadata["tokenizer.ggml.token_type"];
        Assert.Equal(512, tokens.Length);
        Assert.All(vocabulary, entry => Assert.Equal((entry.Key, 1), (tokens[(int)entry.Value!], types[(int)entry.Value!])));
        Assert.Equal(["<|endoftext|>", "<|im_start|>", "<|im_end|>"], tokens[509..]);
        Assert.Equal([3, 3, 3], types[509..]);                                                   // control
        Assert.Equal(
            File.ReadLines(Path.Combine(ExportModels.Tiny, "merges.txt"))
                .Where(line => !line.StartsWith("#version", StringComparison.Ordinal)),
            (object[])file.Metadata["tokenizer.ggml.merges"]);
    }

    [SharedFact]
    public async Task Rows_without_a_token_and_ordinary_added_tokens_have_types_of_their_own()
    {
        Directory.CreateDirectory(_folder["source"]);
        ExportModels.WithTinyTokenizer("model-B", _folder["source"]);
        string path = _folder["source/tokenizer_config.json"];
        JsonObject settings = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        JsonObject added = settings["added_tokens_decoder"]!.AsObject();
        added["512"] = Added("<think>");
        added["513"] = Added("<|tool|>");
        File.WriteAllText(path, settings.ToJsonString());

        GgufReader file = await ExportAsync(_folder["source"], ExportType.Float16);
        Assert.Equal(
            ["<think>", "<|tool|>", "[PAD514]", "[PAD515]", "[PAD516]", "[PAD517]", "[PAD518]", "[PAD519]"],
            ((object[])file.Metadata["tokenizer.ggml.tokens"])[512..]);
        // User-defined, control by its form, unused.
        Assert.Equal([4, 3, 5, 5, 5, 5, 5, 5], ((object[])file.Metadata["tokenizer.ggml.token_type"])[512..]);
        Assert.Equal([48, 520], file.Tensors["output.weight"].Sizes);

        static JsonObject Added(string content) => new() { ["content"] = content, ["special"] = false };
    }

    [Fact]
    public async Task A_template_for_tools_has_a_name_in_the_metadata()
    {
        Directory.CreateDirectory(_folder["source/additional_chat_templates"]);
        File.Copy(Path.Combine(ExportModels.Tiny, "config.json"), _folder["source/config.json"]);
        File.Copy(Path.Combine(ExportModels.Tiny, "model.safetensors"), _folder["source/model.safetensors"]);
        ExportModels.CopyTokenizer(_folder["source"]);
        const string Tools = "{{ tools | tojson }}{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}";
        File.WriteAllText(_folder["source/additional_chat_templates/tool_use.jinja"], Tools);
        GgufReader file = await ExportAsync(_folder["source"], ExportType.Float16);
        Assert.Equal(Tools, file.Metadata["tokenizer.chat_template.tool_use"]);
        Assert.Equal(["tool_use"], (object[])file.Metadata["tokenizer.chat_templates"]);
        Assert.Equal(
            File.ReadAllText(Path.Combine(ExportModels.Tiny, "chat_template.jinja")), file.Metadata["tokenizer.chat_template"]);
    }

    // Weights are rounded in pieces of 2^22 values. The embedding has 70,000 · 64 = 4,480,000.
    [Theory]
    [InlineData(ExportType.Float32, 0)]
    [InlineData(ExportType.Float16, 1.0 / 2048)]    // half a unit in the last of 11 bits
    [InlineData(ExportType.Q8, 1.0 / 200)]          // of the largest of a block: half of 1/127, and 1/2048 for the scale
    public async Task A_weight_of_several_pieces_is_written_whole(ExportType type, double bound)
    {
        Directory.CreateDirectory(_folder["source"]);
        var config = new DecoderConfig
        {
            VocabularySize = 70_000,
            HiddenSize = 64,
            IntermediateSize = 64,
            LayerCount = 1,
            AttentionHeadCount = 2,
            KeyValueHeadCount = 1,
            TieWordEmbeddings = true,
        };
        using (CausalLM model = CausalLM.Initialize(config, seed: 1))
        {
            QwenWeights.Save(model, _folder["source"]);
        }

        ExportModels.CopyTokenizer(_folder["source"]);
        GgufReader file = await ExportAsync(_folder["source"], type);
        using var scope = TensorScope.BeginNoGrad();
        using SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.Open(_folder["source"]);
        float[] exact = Read(checkpoint, "model.embed_tokens.weight"), rounded = file.Values("token_embd.weight");
        Assert.Equal(exact.Length, rounded.Length);
        double largest = exact.Max(Math.Abs);
        Assert.True(exact.Zip(rounded).All(pair => Math.Abs(pair.First - pair.Second) <= bound * largest));
    }

    [Fact]
    public async Task Weights_are_stored_exactly_when_F32()
    {
        GgufReader file = await ExportAsync(ExportModels.Tiny, ExportType.Float32);
        using var scope = TensorScope.BeginNoGrad();
        using SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.Open(ExportModels.Tiny);
        Assert.Equal(Read(checkpoint, "model.embed_tokens.weight"), file.Values("token_embd.weight"));
        Assert.Equal(Read(checkpoint, "model.layers.3.mlp.down_proj.weight"), file.Values("blk.3.ffn_down.weight"));
        Assert.Equal(Read(checkpoint, "model.layers.1.self_attn.k_proj.bias"), file.Values("blk.1.attn_k.bias"));
        Assert.Equal([384, 128], file.Tensors["blk.3.ffn_down.weight"].Sizes);                   // innermost first
    }

    [Theory]
    [InlineData(ExportType.Float16, 1u, 1.0 / 2048)]      // half a unit in the last of 11 bits
    [InlineData(ExportType.BFloat16, 30u, 1.0 / 256)]     // 8 bits
    public async Task Matrices_are_rounded_and_norms_and_biases_are_not(ExportType type, uint number, double bound)
    {
        GgufReader file = await ExportAsync(ExportModels.Tiny, type);
        using var scope = TensorScope.BeginNoGrad();
        using SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.Open(ExportModels.Tiny);
        float[] exact = Read(checkpoint, "model.layers.0.mlp.up_proj.weight"), rounded = file.Values("blk.0.ffn_up.weight");
        Assert.Equal(number, file.Tensors["blk.0.ffn_up.weight"].Type);
        // Below 2^-14 float16 has steps of 2^-24.
        Assert.All(exact.Zip(rounded), pair => Assert.InRange(
            Math.Abs(pair.First - pair.Second), 0, Math.Max(bound * Math.Abs(pair.First), Math.Pow(2, -25))));
        Assert.Equal(Read(checkpoint, "model.norm.weight"), file.Values("output_norm.weight"));
        Assert.All(file.Tensors.Where(entry => entry.Value.Sizes.Length == 1), entry => Assert.Equal(0u, entry.Value.Type));
    }

    [Fact]
    public async Task Q8_values_are_within_half_a_step_of_their_block()
    {
        GgufReader file = await ExportAsync(ExportModels.Tiny, ExportType.Q8);
        Assert.Equal(7u, file.Metadata["general.file_type"]);
        Assert.Equal(2u, file.Metadata["general.quantization_version"]);
        using var scope = TensorScope.BeginNoGrad();
        using SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.Open(ExportModels.Tiny);
        float[] exact = Read(checkpoint, "model.embed_tokens.weight"), rounded = file.Values("token_embd.weight");
        Assert.Equal(8u, file.Tensors["token_embd.weight"].Type);
        for (int block = 0; block < exact.Length; block += 32)
        {
            // Half a step of d = max / 127, and d itself is rounded to 11 bits: 127 · d / 2048 more.
            float largest = exact[block..(block + 32)].Max(Math.Abs);
            double bound = (largest / 127 / 2) + (largest / 2048) + 1e-7;
            Assert.All(Enumerable.Range(block, 32), i => Assert.InRange(Math.Abs(exact[i] - rounded[i]), 0, bound));
        }
    }

    [SharedFact]
    public async Task Q8_leaves_rows_of_another_width_in_16_bits()
    {
        Directory.CreateDirectory(_folder["source"]);
        ExportModels.WithTinyTokenizer("model-B", _folder["source"]);
        GgufReader file = await ExportAsync(_folder["source"], ExportType.Q8);
        Assert.Equal(1u, file.Tensors["blk.0.ffn_up.weight"].Type);                              // rows of 48
        Assert.Equal(8u, file.Tensors["blk.0.ffn_down.weight"].Type);                            // rows of 128
    }

    [SharedFact]
    public async Task Llama_queries_and_keys_are_reordered()
    {
        Directory.CreateDirectory(_folder["source"]);
        ExportModels.WithTinyTokenizer("families/llama-B", _folder["source"]);
        GgufReader file = await ExportAsync(_folder["source"], ExportType.Float32);
        using var scope = TensorScope.BeginNoGrad();
        using SafetensorsCheckpoint checkpoint = SafetensorsCheckpoint.Open(_folder["source"]);
        float[] ours = Read(checkpoint, "model.layers.0.self_attn.k_proj.weight"), theirs = file.Values("blk.0.attn_k.weight");
        const int Width = 48;
        // Heads of 16 rows: rows 0, 8, 1, 9, … of a head become 0, 1, 2, 3, …
        Assert.Equal(ours[..Width], theirs[..Width]);
        Assert.Equal(ours[(8 * Width)..(9 * Width)], theirs[Width..(2 * Width)]);
        Assert.Equal(ours[(16 * Width)..(17 * Width)], theirs[(16 * Width)..(17 * Width)]);
        Assert.Equal(Read(checkpoint, "model.layers.0.self_attn.v_proj.weight"), file.Values("blk.0.attn_v.weight"));

        // θ 500,000, factor 8, length 64, bounds 1 and 4. Frequency 0 turns 64 / 2π = 10.2 times: it stays. The last turns 0.0001 times.
        float[] factors = file.Values("rope_freqs.weight");
        Assert.Equal(8, factors.Length);
        Assert.Equal(1, factors[0]);
        Assert.Equal(8, factors[^1]);
        // Frequency 1 is 500000^(-1/8) = 0.19392, 1.97528 turns: kept (1.97528 − 1) / 3 = 0.32509, divisor 1 / (0.32509 + 0.67491 / 8).
        Assert.Equal(2.44226, factors[1], 1e-4);
    }

    [SharedTheory]
    [InlineData("families/qwen3-A", "attention_bias")]
    [InlineData("families/qwen3-B", "llama3")]
    [InlineData("families/qwen2-yarn", "truncate")]
    [InlineData("model-B", "head_dim")]
    public async Task A_model_that_llama_cpp_cannot_compute_is_refused(string golden, string problem)
    {
        Directory.CreateDirectory(_folder["source"]);
        ExportModels.WithTinyTokenizer(golden, _folder["source"]);
        DecoderConfig config = DecoderConfig.Load(_folder["source"]);
        config = problem switch
        {
            "attention_bias" => config with { QueryKeyValueBias = true, OutputBias = true },
            "llama3" => config with
            {
                RopeScaling = new RopeScaling { Kind = RopeScalingKind.Llama3, Factor = 8, OriginalMaxPositions = 64 },
            },
            "truncate" => config with { RopeScaling = config.RopeScaling! with { Truncate = false } },
            _ => config with { HeadWidth = 16 },
        };
        using (CausalLM model = CausalLM.Initialize(config, seed: 1))
        {
            QwenWeights.Save(model, _folder["source"]);
        }

        string message =
            (await Assert.ThrowsAsync<NotSupportedException>(() => ExportAsync(_folder["source"], ExportType.Float16))).Message;
        Assert.Contains(
            problem switch { "attention_bias" => "no biases", "llama3" => "llama3", "truncate" => "truncate", _ => "4 × 16 is not 48" },
            message, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder["out"]));
    }

    [Fact]
    public async Task A_weight_that_the_type_cannot_hold_is_named()
    {
        Directory.CreateDirectory(_folder["source"]);
        using (CausalLM model = QwenWeights.Load(ExportModels.Tiny))
        {
            using var scope = TensorScope.BeginNoGrad();
            model.get_parameter("model.layers.2.mlp.up_proj.weight")![5, 7] = 70_000;
            QwenWeights.Save(model, _folder["source"]);
        }

        ExportModels.CopyTokenizer(_folder["source"]);
        string message = (await Assert.ThrowsAsync<InvalidDataException>(() => ExportAsync(_folder["source"], ExportType.Float16))).Message;
        Assert.Contains("blk.2.ffn_up.weight has values up to 7E+04", message, StringComparison.Ordinal);
        Assert.Empty(Directory.EnumerateFileSystemEntries(_folder["out"]));
        await ExportAsync(_folder["source"], ExportType.BFloat16);
    }

    public void Dispose() => _folder.Dispose();

    private async Task<GgufReader> ExportAsync(string source, ExportType type)
    {
        ExportResult result = await ModelExport.SaveAsync(
            source, _folder["out/model.gguf"], new ExportOptions { Format = ExportFormat.Gguf, Type = type });
        Assert.Equal(_folder["out/model.gguf"], result.Path);
        Assert.Equal(new FileInfo(result.Path).Length, result.Bytes);
        return new GgufReader(result.Path);
    }

    private static float[] Read(SafetensorsCheckpoint checkpoint, string name) =>
        checkpoint.Read(name).to(ScalarType.Float32).data<float>().ToArray();
}
