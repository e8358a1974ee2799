using System.Text.Json;
using Grpo.Models.Qwen;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Export.Tests;

/// <summary>Exports an adapter that PEFT wrote and compares with the numbers of PEFT's merged model.</summary>
public sealed class PeftExportGoldenTests : IDisposable
{
    private const string Adapter = "lora-A";

    private readonly TemporaryFolder _folder = new();

    // Rounding to b significant bits moves a weight by at most 2^-b of itself. The model has 2 layers with 7 matrices and an output layer:
    // if each moves the logits by one such step of their size, they move by 15 steps at most.
    [SharedTheory]
    [InlineData(ExportType.Float32, 24)]
    [InlineData(ExportType.Float16, 11)]
    [InlineData(ExportType.BFloat16, 8)]
    public async Task A_merged_export_has_PEFTs_weights_and_logits(ExportType type, int bits)
    {
        Directory.CreateDirectory(_folder["base"]);
        ExportModels.WithTinyTokenizer("model-A", _folder["base"]);
        ExportResult result = await ModelExport.SaveAsync(
            _folder["base"], _folder["merged"], new ExportOptions { Type = type, Adapter = Golden(Adapter) });
        using SafetensorsReader expected = SafetensorsReader.Open(Golden(Adapter, "expected.safetensors"));
        using SafetensorsCheckpoint merged = SafetensorsCheckpoint.Open(result.Path);
        using var scope = TensorScope.BeginNoGrad();
        double step = Math.Pow(2, -bits);
        foreach (string name in expected.Entries.Keys.Where(name => name.StartsWith("merged.", StringComparison.Ordinal)))
        {
            Tensor theirs = expected.Read(name), ours = merged.Read(name["merged.".Length..]).to(ScalarType.Float32);
            // The step of a type, and some steps of float32 for the order of the sum over r.
            Assert.InRange(((ours - theirs).abs() - (theirs.abs() * step)).max().item<float>(), double.MinValue, 1e-6);
        }

        using CausalLM model = QwenWeights.Load(result.Path);
        Tensor mask = expected.Read("attention_mask").unsqueeze(2), wanted = expected.Read("logits") * mask;
        Tensor logits = model.forward(expected.Read("input_ids"), expected.Read("attention_mask"))[TensorIndex.Ellipsis, ..199] * mask;
        double bound = Math.Max(1e-4, 15 * step * wanted.abs().max().item<float>());
        Assert.InRange((logits - wanted).abs().max().item<float>(), 0, bound);
    }

    [SharedFact]
    public void An_adapter_of_PEFT_is_saved_with_the_same_tensors_and_fields()
    {
        using CausalLM model = QwenWeights.Load(Golden("model-A"));
        LoraAdapterFiles.AddTo(model, Golden(Adapter));
        LoraAdapterFiles.Save(model, Directory.CreateDirectory(_folder["saved"]).FullName);
        using SafetensorsReader theirs = SafetensorsReader.Open(Golden(Adapter, "adapter_model.safetensors"));
        using SafetensorsReader ours = SafetensorsReader.Open(_folder["saved/adapter_model.safetensors"]);
        using var scope = TensorScope.BeginNoGrad();
        Assert.Equal(theirs.Entries.Keys.Order(StringComparer.Ordinal), ours.Entries.Keys.Order(StringComparer.Ordinal));
        Assert.All(theirs.Entries.Keys, name => Assert.True(theirs.Read(name).equal(ours.Read(name)).all().item<bool>(), name));

        using JsonDocument before = JsonDocument.Parse(File.ReadAllText(Golden(Adapter, "adapter_config.json")));
        using JsonDocument after = JsonDocument.Parse(File.ReadAllText(_folder["saved/adapter_config.json"]));
        string[] fields = ["peft_type", "task_type", "r", "lora_alpha", "bias", "use_rslora", "use_dora", "target_modules"];
        foreach (string field in fields)
        {
            Assert.True(JsonElement.DeepEquals(before.RootElement.GetProperty(field), after.RootElement.GetProperty(field)), field);
        }

        // A path relative to the adapter says nothing about this machine.
        Assert.Equal("../model-A", after.RootElement.GetProperty("base_model_name_or_path").GetString());
    }

    public void Dispose() => _folder.Dispose();

    private static string Golden(params string[] parts) => SharedData.Path(["golden", .. parts]);
}
