using System.Text.Json.Nodes;
using Grpo.Modeling;
using Grpo.Models.Qwen.Lora;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Tests.Text;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

public sealed class LoraPretrainedTests : IDisposable
{
    private readonly TemporaryFolder _base = new();
    private readonly TemporaryFolder _adapter = new();

    public LoraPretrainedTests()
    {
        using var model = CausalLM.Initialize(TinyModels.Config() with { VocabularySize = 264 }, seed: 7);
        QwenWeights.Save(model, _base.Path, ScalarType.BFloat16);
        TinyTokenizer.Load(TinyTokenizer.TokenizerJson()).Save(_base.Path);
    }

    [Fact]
    public async Task An_adapter_is_trained_saved_and_loaded_by_its_folder_alone()
    {
        using QwenPretrained qwen = await QwenPretrained.LoadAsync(
            _base.Path, new QwenLoadOptions { Lora = LoraModels.Options, WithReference = true });
        LoraModels.Train(qwen.Policy.Model);
        qwen.Policy.Save(_adapter.Path);
        Assert.IsType<AdapterOffReference>(qwen.Reference);
        Assert.Equal(28, qwen.Policy.TrainedParameters().Count);

        using QwenPretrained loaded = await QwenPretrained.LoadAsync(_adapter.Path, new QwenLoadOptions { WithReference = true });
        using var scope = TensorScope.BeginNoGrad();
        LoraModels.AssertSame(LoraModels.Weights(qwen.Policy.Model), loaded.Policy.Model);
        Assert.Equal(new LoraBaseModel(_base.Path), loaded.Policy.Model.Adapter!.BaseModel);
        Assert.Equal(_base.Path, loaded.Directory);
        Assert.Equal(28, loaded.Policy.TrainedParameters().Count);
        TensorAssert.Identical(qwen.Reference!.LogProbs(LoraModels.Batch, 1), loaded.Reference!.LogProbs(LoraModels.Batch, 1), "reference");
    }

    [Fact]
    public async Task The_base_is_found_beside_the_adapter_or_given_by_hand()
    {
        await SaveAdapterAsync();
        Edit("base_model_name_or_path", Path.GetRelativePath(_adapter.Path, _base.Path));
        using QwenPretrained beside = QwenPretrained.Load(_adapter.Path, new QwenLoadOptions());
        Assert.NotNull(beside.Policy.Model.Adapter);

        Edit("base_model_name_or_path", null);
        string message = (await Assert.ThrowsAsync<InvalidDataException>(() => QwenPretrained.LoadAsync(_adapter.Path))).Message;
        Assert.Contains("does not name its base model", message, StringComparison.Ordinal);
        using QwenPretrained given = await QwenPretrained.LoadAsync(_base.Path, new QwenLoadOptions { Adapter = _adapter.Path });
        Assert.NotNull(given.Policy.Model.Adapter);

        Edit("base_model_name_or_path", "/no/such/folder");
        message = (await Assert.ThrowsAsync<DirectoryNotFoundException>(() => QwenPretrained.LoadAsync(_adapter.Path))).Message;
        Assert.Contains("where the base has moved", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_adapter_can_be_trained_further_with_another_dropout_but_not_another_rank()
    {
        await SaveAdapterAsync();
        using QwenPretrained qwen = await QwenPretrained.LoadAsync(
            _adapter.Path, new QwenLoadOptions { Lora = LoraModels.Options with { Dropout = 0.5, Seed = 8 } });
        Assert.Equal(0.5, qwen.Policy.Model.Adapter!.Options.Dropout);
        var other = new QwenLoadOptions { Lora = LoraModels.Options with { Rank = 5 } };
        string message = (await Assert.ThrowsAsync<InvalidDataException>(() => QwenPretrained.LoadAsync(_adapter.Path, other))).Message;
        Assert.Contains("r is 3 but must be 5", message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Options_that_cannot_be_met_are_refused_before_anything_is_loaded()
    {
        await SaveAdapterAsync();
        await Assert.ThrowsAsync<ArgumentException>(
            () => QwenPretrained.LoadAsync("/no/such/folder", new QwenLoadOptions { Lora = new LoraOptions { Rank = 0 } }));
        await Assert.ThrowsAsync<ArgumentException>(
            () => QwenPretrained.LoadAsync(_adapter.Path, new QwenLoadOptions { Adapter = _adapter.Path }));
    }

    [Fact]
    public async Task The_base_may_stay_in_16_bits()
    {
        using QwenPretrained wide = await QwenPretrained.LoadAsync(_base.Path, new QwenLoadOptions { Lora = LoraModels.Options });
        using QwenPretrained narrow = await QwenPretrained.LoadAsync(
            _base.Path, new QwenLoadOptions { Lora = LoraModels.Options, KeepStoredType = true });
        Assert.Equal(ScalarType.Float32, wide.Policy.Model.WeightType);
        Assert.Equal(ScalarType.BFloat16, narrow.Policy.Model.WeightType);
        Assert.All(narrow.Policy.TrainedParameters(), trained => Assert.Equal(ScalarType.Float32, trained.Parameter.dtype));
    }

    public void Dispose()
    {
        _base.Dispose();
        _adapter.Dispose();
    }

    private async Task SaveAdapterAsync()
    {
        using QwenPretrained qwen = await QwenPretrained.LoadAsync(_base.Path, new QwenLoadOptions { Lora = LoraModels.Options });
        qwen.Policy.Save(_adapter.Path);
    }

    private void Edit(string field, string? value)
    {
        JsonObject fields = JsonNode.Parse(File.ReadAllText(_adapter.File("adapter_config.json")))!.AsObject();
        fields[field] = value;
        _adapter.Write("adapter_config.json", fields.ToJsonString());
    }
}
