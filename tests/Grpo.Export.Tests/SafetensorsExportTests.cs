using System.Text.Json;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using Grpo.Testing;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Export.Tests;

/// <summary>Exports folders in Hugging Face layout and loads them again.</summary>
public sealed class SafetensorsExportTests : IDisposable
{
    private static readonly int[] Tokens = [510, 82, 83, 12, 400, 401, 511, 7];

    private readonly TemporaryFolder _folder = new();

    [Fact]
    public async Task A_trained_adapter_is_merged_into_a_plain_checkpoint()
    {
        await SaveAdapterAsync(_folder["adapter"]);
        ExportResult result = await ModelExport.SaveAsync(
            _folder["adapter"], _folder["new/merged"], new ExportOptions { Type = ExportType.Float32 });
        Assert.Equal(2 + (4 * 12), result.TensorCount);
        Assert.False(LoraAdapterFiles.IsAdapter(result.Path));

        // Merging in memory gives the same bits, so both paths compute W + scale · B·A alike.
        using QwenPretrained adapted = QwenPretrained.Load(_folder["adapter"]);
        ExportResult other = ModelExport.Save(adapted, _folder["memory"], new ExportOptions { Type = ExportType.Float32 });
        Assert.Equal(Hash(Path.Combine(result.Path, "model.safetensors")), Hash(Path.Combine(other.Path, "model.safetensors")));
        Assert.False(adapted.Policy.Model.Adapter!.IsMerged);
        using var scope = TensorScope.BeginNoGrad();
        Tensor expected = ExportModels.Logits(adapted.Policy.Model, Tokens);
        adapted.Policy.MergeAdapter();
        adapted.Policy.Save(Directory.CreateDirectory(_folder["saved"]).FullName);
        Assert.Equal(Hash(Path.Combine(_folder["saved"], "model.safetensors")), Hash(Path.Combine(result.Path, "model.safetensors")));

        // Two orders of the same float32 sums: each of the 4 layers adds relative errors of some units of 2^-24.
        using QwenPretrained merged = QwenPretrained.Load(result.Path);
        Assert.Null(merged.Policy.Model.Adapter);
        double difference = (ExportModels.Logits(merged.Policy.Model, Tokens) - expected).abs().max().item<float>();
        Assert.InRange(difference, 0, 1e-4 * expected.abs().max().item<float>());
    }

    [Fact]
    public async Task An_adapter_on_four_bits_is_merged_into_the_rounded_base()
    {
        using QwenPretrained qwen = await QwenPretrained.LoadAsync(
            ExportModels.Tiny, new QwenLoadOptions { Lora = new LoraOptions { Rank = 4, Seed = 3 }, FourBitBase = true });
        Train(qwen.Policy.Model);
        qwen.Policy.Save(Directory.CreateDirectory(_folder["adapter"]).FullName);
        var exact = new ExportOptions { Type = ExportType.Float32 };
        ExportResult stored = await ModelExport.SaveAsync(_folder["adapter"], _folder["stored"], exact);
        ExportResult memory = ModelExport.Save(qwen, _folder["memory"], exact);
        Assert.Equal(Hash(Path.Combine(stored.Path, "model.safetensors")), Hash(Path.Combine(memory.Path, "model.safetensors")));

        using QwenPretrained merged = QwenPretrained.Load(stored.Path);
        using var scope = TensorScope.BeginNoGrad();
        Tensor expected = ExportModels.Logits(qwen.Policy.Model, Tokens);
        double difference = (ExportModels.Logits(merged.Policy.Model, Tokens) - expected).abs().max().item<float>();
        Assert.InRange(difference, 0, 1e-4 * expected.abs().max().item<float>());
    }

    // The weights of the export are those of the model, each rounded to 8 or 11 bits. So the logits equal, bit for bit, those of a model
    // whose weights are rounded. Each weight moves by at most 2^-8 or 2^-11 of itself. There are 4 layers with 7 matrices and an output
    // layer: if each moves the logits by one such step of their size, they move by 29 steps at most.
    [Theory]
    [InlineData(ExportType.BFloat16, "bfloat16", 8)]
    [InlineData(ExportType.Float16, "float16", 11)]
    public async Task Sixteen_bit_weights_are_the_rounded_ones(ExportType type, string name, int bits)
    {
        await SaveAdapterAsync(_folder["adapter"]);
        ExportResult result = await ModelExport.SaveAsync(_folder["adapter"], _folder["out"], new ExportOptions { Type = type });
        using (JsonDocument config = JsonDocument.Parse(File.ReadAllText(Path.Combine(result.Path, "config.json"))))
        {
            Assert.Equal(name, config.RootElement.GetProperty("torch_dtype").GetString());
        }

        using QwenPretrained exact = QwenPretrained.Load(_folder["adapter"]);
        exact.Policy.MergeAdapter();
        using QwenPretrained rounded = QwenPretrained.Load(result.Path);
        using var scope = TensorScope.BeginNoGrad();
        Tensor before = ExportModels.Logits(exact.Policy.Model, Tokens), after = ExportModels.Logits(rounded.Policy.Model, Tokens);
        double step = Math.Pow(2, -bits);
        Assert.InRange((after - before).abs().max().item<float>(), double.Epsilon, 29 * step * before.abs().max().item<float>());

        ScalarType stored = type == ExportType.BFloat16 ? ScalarType.BFloat16 : ScalarType.Float16;
        foreach ((_, Parameter weight) in exact.Policy.Model.named_parameters().Where(named => !named.name.Contains("lora_")))
        {
            weight.copy_(weight.to(stored));
        }

        Assert.True(ExportModels.Logits(exact.Policy.Model, Tokens).equal(after).all().item<bool>());
    }

    [Fact]
    public async Task Tokenizer_template_and_end_tokens_are_written()
    {
        ExportResult result = await ModelExport.SaveAsync(ExportModels.Tiny, _folder["out"]);
        Assert.Equal(ExportType.BFloat16, result.Type);
        foreach (string name in (string[])["vocab.json", "merges.txt", "tokenizer_config.json", "chat_template.jinja"])
        {
            Assert.Equal(Hash(Path.Combine(ExportModels.Tiny, name)), Hash(Path.Combine(result.Path, name)));
        }

        using JsonDocument generation = JsonDocument.Parse(File.ReadAllText(Path.Combine(result.Path, "generation_config.json")));
        Assert.Equal([509, 511], generation.RootElement.GetProperty("eos_token_id").EnumerateArray().Select(id => id.GetInt32()));
        Assert.Equal(["out"], Directory.EnumerateFileSystemEntries(_folder.Path).Select(Path.GetFileName));
        // A bfloat16 model stays as it is.
        Assert.Equal(
            Hash(Path.Combine(ExportModels.Tiny, "model.safetensors")), Hash(Path.Combine(result.Path, "model.safetensors")));
    }

    [Fact]
    public async Task An_existing_model_is_replaced_only_when_allowed()
    {
        await ModelExport.SaveAsync(ExportModels.Tiny, _folder["out"], new ExportOptions { Type = ExportType.Float32 });
        File.WriteAllText(_folder["out/notes.txt"], "mine");
        File.WriteAllText(_folder["out/model.safetensors.index.json"], "old");
        File.WriteAllText(_folder["out/model-00001-of-00002.safetensors"], "old");
        File.WriteAllText(_folder["out/model-backup.safetensors"], "mine");
        string before = Hash(_folder["out/model.safetensors"]);
        string message = (await Assert.ThrowsAsync<IOException>(() => ModelExport.SaveAsync(ExportModels.Tiny, _folder["out"]))).Message;
        Assert.Contains("exists and is not empty", message, StringComparison.Ordinal);
        Assert.Equal(before, Hash(_folder["out/model.safetensors"]));

        await ModelExport.SaveAsync(ExportModels.Tiny, _folder["out"], new ExportOptions { Overwrite = true });
        Assert.NotEqual(before, Hash(_folder["out/model.safetensors"]));
        Assert.Equal("mine", File.ReadAllText(_folder["out/notes.txt"]));
        Assert.Equal("mine", File.ReadAllText(_folder["out/model-backup.safetensors"]));
        Assert.False(File.Exists(_folder["out/model.safetensors.index.json"]));
        Assert.False(File.Exists(_folder["out/model-00001-of-00002.safetensors"]));
        Assert.Equal(["out"], Directory.EnumerateFileSystemEntries(_folder.Path).Select(Path.GetFileName));
    }

    [Fact]
    public async Task A_destination_that_contradicts_the_options_is_refused()
    {
        await RefusedAsync<ArgumentException>("a.gguf", new ExportOptions(), "is a GGUF file but the format is Safetensors");
        await RefusedAsync<ArgumentException>("a", new ExportOptions { Type = ExportType.Q8 }, "for GGUF files only");
        File.WriteAllText(_folder["file"], "");
        await RefusedAsync<IOException>("file", new ExportOptions { Overwrite = true }, "is a file");
        await SaveAdapterAsync(_folder["adapter"]);
        await RefusedAsync<IOException>("adapter", new ExportOptions { Overwrite = true }, "holds an adapter");
        Directory.CreateDirectory(_folder["x.gguf"]);
        await RefusedAsync<IOException>("x.gguf", new ExportOptions { Format = ExportFormat.Gguf, Overwrite = true }, "is a folder");

        string message = (await Assert.ThrowsAsync<ArgumentException>(
            () => ModelExport.SaveAsync(ExportModels.Tiny, ExportModels.Tiny, new ExportOptions { Overwrite = true }))).Message;
        Assert.Contains("replace its own source", message, StringComparison.Ordinal);
    }

    [Fact]
    public void An_option_for_a_source_is_refused_for_a_loaded_model()
    {
        using QwenPretrained qwen = QwenPretrained.Load(ExportModels.Tiny);
        foreach (ExportOptions options in (ExportOptions[])
        [
            new() { Adapter = _folder["adapter"] }, new() { ChatTemplate = new QwenChatTemplate() }, new() { Revision = "v1" },
        ])
        {
            string message = Assert.Throws<ArgumentException>(() => ModelExport.Save(qwen, _folder["out"], options)).Message;
            Assert.Contains("this model is loaded already", message, StringComparison.Ordinal);
        }

        Assert.False(Directory.Exists(_folder["out"]));
    }

    [Fact]
    public async Task A_canceled_export_leaves_nothing()
    {
        using var canceled = new CancellationTokenSource();
        canceled.Cancel();
        foreach (ExportFormat format in Enum.GetValues<ExportFormat>())
        {
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => ModelExport.SaveAsync(
                ExportModels.Tiny, _folder["out"], new ExportOptions { Format = format }, canceled.Token));
        }

        Assert.DoesNotContain(
            Directory.EnumerateFileSystemEntries(_folder.Path, "*", SearchOption.AllDirectories),
            entry => Path.GetFileName(entry) != "out");
    }

    [Fact]
    public async Task A_weight_that_is_not_finite_is_named()
    {
        Directory.CreateDirectory(_folder["source"]);
        using (CausalLM model = QwenWeights.Load(ExportModels.Tiny))
        {
            using var scope = TensorScope.BeginNoGrad();
            model.get_parameter("model.norm.weight")![3] = float.NaN;
            QwenWeights.Save(model, _folder["source"]);
        }

        ExportModels.CopyTokenizer(_folder["source"]);
        string message =
            (await Assert.ThrowsAsync<InvalidDataException>(() => ModelExport.SaveAsync(_folder["source"], _folder["out"]))).Message;
        Assert.Contains("model.norm.weight holds NaN", message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(_folder["out"]));
    }

    public void Dispose() => _folder.Dispose();

    private async Task RefusedAsync<T>(string destination, ExportOptions options, string message)
        where T : Exception
    {
        T exception = await Assert.ThrowsAnyAsync<T>(() => ModelExport.SaveAsync(ExportModels.Tiny, _folder[destination], options));
        Assert.Contains(message, exception.Message, StringComparison.Ordinal);
    }

    private static async Task SaveAdapterAsync(string folder)
    {
        using QwenPretrained qwen = await QwenPretrained.LoadAsync(
            ExportModels.Tiny, new QwenLoadOptions { Lora = new LoraOptions { Rank = 4, Alpha = 8, Seed = 3 } });
        Train(qwen.Policy.Model);
        qwen.Policy.Save(Directory.CreateDirectory(folder).FullName);
    }

    // B begins at zero.
    private static void Train(CausalLM model)
    {
        using var scope = TensorScope.BeginNoGrad();
        using var generator = new Generator(9);
        foreach ((_, Parameter parameter) in model.Adapter!.Parameters().Where(named => named.Name.Contains("lora_B")))
        {
            parameter.copy_(empty(parameter.shape).normal_(0, 0.02, generator));
        }
    }

    private static string Hash(string path) => Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(path)));
}
