using System.Text.Json.Nodes;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

public sealed class QwenWeightsTests : IDisposable
{
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory();

    private string Folder => _folder.FullName;

    [SharedTheory]
    [InlineData("A")]
    [InlineData("B")]
    public void A_saved_checkpoint_equals_the_loaded_one_bit_for_bit(string name)
    {
        using CausalLM model = QwenWeights.Load(GoldenModel.Folder(name));
        QwenWeights.Save(model, Folder);
        using SafetensorsCheckpoint original = SafetensorsCheckpoint.Open(GoldenModel.Folder(name));
        using SafetensorsCheckpoint saved = SafetensorsCheckpoint.Open(Folder);
        AssertEqual(original, saved);
        AssertEqualConfigs(GoldenModel.Folder(name), Folder);
    }

    [SharedFact]
    public void A_bfloat16_checkpoint_is_loaded_as_float32_and_saved_as_it_was()
    {
        string folder = GoldenItems.AtLeastOne(
            Directory.EnumerateDirectories(SharedData.Path("golden"), "model-?")
                .Where(model => DecoderConfig.Load(model).StoredType == "bfloat16"), "bfloat16 model")[0];
        using CausalLM model = QwenWeights.Load(folder);
        Assert.Equal(ScalarType.Float32, model.WeightType);
        QwenWeights.Save(model, Folder, ScalarType.BFloat16);
        using SafetensorsCheckpoint original = SafetensorsCheckpoint.Open(folder);
        using SafetensorsCheckpoint saved = SafetensorsCheckpoint.Open(Folder);
        AssertEqual(original, saved);
        AssertEqualConfigs(folder, Folder);

        using CausalLM narrow = QwenWeights.Load(Folder, type: ScalarType.BFloat16);
        Assert.Equal(ScalarType.BFloat16, narrow.WeightType);
    }

    [Theory]
    [InlineData(true, "qwen2")]
    [InlineData(false, "qwen2")]
    [InlineData(true, "qwen3")]
    [InlineData(false, "llama")]
    [InlineData(true, "llama with biases")]
    public void Save_and_Load_keep_every_bit_and_the_configuration(bool tied, string family)
    {
        using CausalLM model = TinyModels.Uneven(TinyModels.Config(tied, family));
        QwenWeights.Save(model, Folder);
        using CausalLM loaded = QwenWeights.Load(Folder);
        Assert.Null(model.Config.DifferenceFrom(loaded.Config));
        var pairs = model.named_parameters().Zip(loaded.named_parameters());
        foreach (((string name, Tensor expected), (string loadedName, Tensor actual)) in pairs)
        {
            Assert.Equal(name, loadedName);
            TensorAssert.Identical(expected, actual, name);
            Assert.True(actual.requires_grad);
        }
    }

    [Fact]
    public void A_float16_checkpoint_is_converted()
    {
        using CausalLM model = TinyModels.Create();
        QwenWeights.Save(model, Folder, ScalarType.Float16);
        Assert.Equal("float16", DecoderConfig.Load(Folder).StoredType);
        using CausalLM loaded = QwenWeights.Load(Folder);
        using var scope = TensorScope.BeginNoGrad();
        TensorAssert.Identical(model.HeadWeight.to(ScalarType.Float16).to(ScalarType.Float32), loaded.HeadWeight, "head");
    }

    [Fact]
    public void A_tied_checkpoint_may_carry_its_head_as_well()
    {
        using CausalLM model = TinyModels.Create();
        QwenWeights.Save(model, Folder);
        Rewrite(tensors => tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]);
        using CausalLM loaded = QwenWeights.Load(Folder);
        TensorAssert.Identical(model.HeadWeight, loaded.HeadWeight, "head");
    }

    [Fact]
    public void Save_replaces_an_index_that_would_contradict_it()
    {
        File.WriteAllText(Path.Combine(Folder, "model.safetensors.index.json"), "{}");
        using CausalLM model = TinyModels.Create();
        QwenWeights.Save(model, Folder);
        Assert.Equal(["config.json", "model.safetensors"], _folder.GetFiles().Select(file => file.Name).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void Load_lists_everything_that_does_not_fit_at_once()
    {
        using CausalLM model = TinyModels.Create(tied: false);
        QwenWeights.Save(model, Folder);
        using var scope = TensorScope.Begin();
        Rewrite(tensors =>
        {
            tensors.Remove("lm_head.weight");
            tensors.Remove("model.layers.1.mlp.up_proj.weight");
            tensors["model.norm.weight"] = ones(25);
            tensors["model.layers.0.self_attn.q_proj.bias"] = ones(24, ScalarType.Int64);
            tensors["model.layers.2.input_layernorm.weight"] = ones(24);
            tensors["score.weight"] = ones(1);
        });
        string message = Assert.Throws<InvalidDataException>(() => QwenWeights.Load(Folder)).Message;
        Assert.Equal(
            $"""
            The weights in '{Folder}' do not fit its config.json.
            missing (2):
            - model.layers.1.mlp.up_proj.weight [40, 24]
            - lm_head.weight [37, 24]
            unexpected (2):
            - model.layers.2.input_layernorm.weight
            - score.weight
            wrong shape (1):
            - model.norm.weight is [25] but must be [24]
            wrong type (1):
            - model.layers.0.self_attn.q_proj.bias is Int64 but must be a floating-point type
            """.ReplaceLineEndings("\n"),
            message);
    }

    [Fact]
    public void Load_does_not_allocate_on_the_word_of_the_configuration()
    {
        using CausalLM model = TinyModels.Create();
        QwenWeights.Save(model, Folder);
        // 4 million × 65,536 floats are a terabyte.
        Edit(fields =>
        {
            fields["vocab_size"] = 4_194_304;
            fields["hidden_size"] = 65_536;
            fields["num_attention_heads"] = 512;
            fields["num_hidden_layers"] = 1_024;
        });
        string message = Assert.Throws<InvalidDataException>(() => QwenWeights.Load(Folder)).Message;
        Assert.Contains("model.embed_tokens.weight is [37, 24] but must be [4194304, 65536]", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Load_names_what_is_missing()
    {
        Assert.Throws<DirectoryNotFoundException>(() => QwenWeights.Load(Path.Combine(Folder, "none")));
        File.WriteAllText(Path.Combine(Folder, "config.json"), TinyModels.Config().ToJson());
        ErrorAssert.Says<FileNotFoundException>("model.safetensors or model.safetensors.index.json", () => QwenWeights.Load(Folder));
        Edit(fields => (fields["model_type"], fields["architectures"]) = ("gpt2", new JsonArray("GPT2LMHeadModel")));
        ErrorAssert.Says<InvalidDataException>("unknown architecture", () => QwenWeights.Load(Folder));
    }

    [Fact]
    public void LoadInto_refuses_a_checkpoint_of_another_model_and_changes_nothing()
    {
        using CausalLM model = TinyModels.Create();
        using Tensor before = model.HeadWeight.detach().clone();
        using CausalLM other = CausalLM.Initialize(TinyModels.Config() with { RopeTheta = 10_000 }, seed: 8);
        QwenWeights.Save(other, Folder);
        string message = Assert.Throws<InvalidDataException>(() => QwenWeights.LoadInto(model, Folder)).Message;
        Assert.Contains("rope_theta is 10000 but the model has 1000000", message, StringComparison.Ordinal);
        TensorAssert.Identical(before, model.HeadWeight, "head");
    }

    [Fact]
    public void Save_needs_a_folder_and_a_storable_type()
    {
        using CausalLM model = TinyModels.Create();
        string missing = Path.Combine(Folder, "none");
        ErrorAssert.Says<DirectoryNotFoundException>(missing, () => QwenWeights.Save(model, missing));
        ErrorAssert.Says<ArgumentException>("not as Int64", () => QwenWeights.Save(model, Folder, ScalarType.Int64));
    }

    public void Dispose() => _folder.Delete(recursive: true);

    private static void AssertEqual(SafetensorsCheckpoint expected, SafetensorsCheckpoint actual)
    {
        Assert.Equal(expected.Entries.Keys.Order(StringComparer.Ordinal), actual.Entries.Keys.Order(StringComparer.Ordinal));
        using var scope = TensorScope.BeginNoGrad();
        foreach (string name in expected.Entries.Keys)
        {
            TensorAssert.Identical(expected.Read(name), actual.Read(name), name);
        }
    }

    private static void AssertEqualConfigs(string expected, string actual)
    {
        JsonNode? before = JsonNode.Parse(File.ReadAllText(Path.Combine(expected, "config.json")));
        JsonNode? after = JsonNode.Parse(File.ReadAllText(Path.Combine(actual, "config.json")));
        Assert.True(JsonNode.DeepEquals(before, after), after!.ToJsonString());
    }

    private void Rewrite(Action<Dictionary<string, Tensor>> change)
    {
        using var scope = TensorScope.BeginNoGrad();
        string path = Path.Combine(Folder, "model.safetensors");
        Dictionary<string, Tensor> tensors;
        using (SafetensorsReader reader = SafetensorsReader.Open(path))
        {
            tensors = reader.Entries.Keys.ToDictionary(name => name, reader.Read);
        }

        change(tensors);
        SafetensorsWriter.Write(path, tensors);
    }

    private void Edit(Action<JsonObject> change)
    {
        string path = Path.Combine(Folder, "config.json");
        JsonObject fields = JsonNode.Parse(File.ReadAllText(path))!.AsObject();
        change(fields);
        File.WriteAllText(path, fields.ToJsonString());
    }
}
