using Grpo.Modeling;
using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Planning;
using Grpo.Models.Qwen.Quantization;
using Grpo.Models.Qwen.Tests.Text;
using Grpo.Models.Qwen.Weights;
using Grpo.Planning;
using Grpo.Tensors;
using Grpo.Testing;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests.Quantization;

/// <summary>Loading with <see cref="QwenLoadOptions.FourBitBase"/>.</summary>
public sealed class FourBitPretrainedTests : IDisposable
{
    private static readonly DecoderConfig Config = TinyModels.Config() with { VocabularySize = 264 };

    private readonly TemporaryFolder _base = new();
    private readonly TemporaryFolder _adapter = new();

    public FourBitPretrainedTests()
    {
        using var model = CausalLM.Initialize(Config, seed: 7);
        QwenWeights.Save(model, _base.Path, ScalarType.BFloat16);
        TinyTokenizer.Load(TinyTokenizer.TokenizerJson()).Save(_base.Path);
    }

    private static QwenLoadOptions Options => new() { Lora = LoraModels.Options, FourBitBase = true, WithReference = true };

    [Fact]
    public void The_projections_are_the_rounded_ones_of_the_checkpoint_and_the_rest_is_unchanged()
    {
        using QwenPretrained qwen = QwenPretrained.Load(_base.Path, Options);
        using CausalLM stored = QwenWeights.Load(_base.Path);
        using var scope = TensorScope.BeginNoGrad();
        (string Name, Nf4Weight Weight)[] packed = [.. qwen.Policy.Model.PackedWeights()];
        Assert.Equal(2 * 7, packed.Length);
        Dictionary<string, Tensor> weights = LoraModels.Weights(stored);
        foreach ((string name, Nf4Weight weight) in packed)
        {
            TensorAssert.Identical(Nf4Quantizer.Quantize(weights[name]).Bytes, weight.Data.Bytes, name);
        }

        Assert.All(
            qwen.Policy.Model.BaseParameters(), named => TensorAssert.Identical(weights[named.Name], named.Parameter, named.Name));
        Assert.Equal(28, qwen.Policy.TrainedParameters().Count);
    }

    [Fact]
    public void An_adapter_is_saved_and_loaded_onto_the_same_bytes()
    {
        using QwenPretrained qwen = QwenPretrained.Load(_base.Path, Options);
        LoraModels.Train(qwen.Policy.Model);
        qwen.Policy.Save(_adapter.Path);
        using QwenPretrained loaded = QwenPretrained.Load(_adapter.Path, Options);
        using var scope = TensorScope.BeginNoGrad();
        TensorAssert.Identical(qwen.Policy.LogProbs(LoraModels.Batch, 1), loaded.Policy.LogProbs(LoraModels.Batch, 1), "policy");
        TensorAssert.Identical(qwen.Reference!.LogProbs(LoraModels.Batch, 1), loaded.Reference!.LogProbs(LoraModels.Batch, 1), "reference");
        Assert.Equal(qwen.Policy.Identity.Facts, loaded.Policy.Identity.Facts);
        using SafetensorsReader file = SafetensorsReader.Open(_adapter.File("adapter_model.safetensors"));
        Assert.Equal("NF4", file.Metadata["grpo_base_in_4_bits"]);

        var logger = new ListLogger();
        using QwenPretrained onFloats = QwenPretrained.Load(_adapter.Path, new QwenLoadOptions { Logger = logger });
        Assert.False(onFloats.Policy.Model.HasFourBitBase);
        Assert.Contains(
            "was trained on a base in 4 bits and is loaded onto the unrounded one", Assert.Single(logger.Messages),
            StringComparison.Ordinal);
    }

    [Fact]
    public void LoadInto_rounds_the_weights_of_another_checkpoint()
    {
        using var folder = new TemporaryFolder();
        using (CausalLM other = CausalLM.Initialize(Config, seed: 8))
        {
            QwenWeights.Save(other, folder.Path);
        }

        using CausalLM model = QwenWeights.LoadInFourBits(_base.Path), expected = QwenWeights.LoadInFourBits(folder.Path);
        Assert.NotEqual(expected.DescribeWeights(), model.DescribeWeights());
        QwenWeights.LoadInto(model, folder.Path);
        Assert.Equal(expected.DescribeWeights(), model.DescribeWeights());
    }

    [Fact]
    public void A_merged_copy_is_saved_as_a_checkpoint_that_loads_alone()
    {
        using var folder = new TemporaryFolder();
        using QwenPretrained qwen = QwenPretrained.Load(_base.Path, Options);
        LoraModels.Train(qwen.Policy.Model);
        using (QwenPolicy merged = qwen.Policy.Dequantize())
        {
            merged.MergeAdapter();
            merged.Save(folder.Path);
        }

        using QwenPretrained loaded = QwenPretrained.Load(folder.Path);
        using var scope = TensorScope.BeginNoGrad();
        TensorAssert.Near(qwen.Policy.LogProbs(LoraModels.Batch, 1), loaded.Policy.LogProbs(LoraModels.Batch, 1), 2e-5, "log-probs");
    }

    [Fact]
    public void The_rest_may_stay_in_16_bits()
    {
        using QwenPretrained qwen = QwenPretrained.Load(_base.Path, Options with { KeepStoredType = true });
        Assert.Equal((ScalarType.BFloat16, true), (qwen.Policy.Model.WeightType, qwen.Policy.Model.HasFourBitBase));
        using var scope = TensorScope.BeginNoGrad();
        Assert.True(qwen.Policy.LogProbs(LoraModels.Batch, 1).isfinite().all().item<bool>());
    }

    [Fact]
    public void Options_that_cannot_be_met_are_refused_before_anything_is_loaded()
    {
        ErrorAssert.Says<ArgumentException>(
            "weights in 4 bits cannot be trained. Set Lora", () => QwenPretrained.Load("/no/such/folder", Options with { Lora = null }));
        ErrorAssert.Says<ArgumentException>(
            "FourBitBase and Int8Rollouts are both true",
            () => QwenPretrained.Load("/no/such/folder", Options with { Int8Rollouts = true }));
        var sizes = new MemorySizes
        {
            DecodedPrompts = 1,
            DecodedSequences = 1,
            PromptLength = 1,
            CompletionLength = 1,
            MicroBatchPrompts = 1,
            MicroBatchSequences = 1,
        };
        var planned = new QwenMemory(Config) { FourBitBase = true };
        ErrorAssert.Says<InvalidOperationException>("FourBitBase is true, but Lora is null", () => planned.NeedsOf(sizes));
        ErrorAssert.Says<InvalidOperationException>(
            "FourBitBase and Int8Rollouts are both true",
            () => (planned with { Lora = LoraModels.Options, Int8Rollouts = true }).NeedsOf(sizes));
    }

    [Fact]
    public void A_weight_that_is_not_finite_is_named()
    {
        using (CausalLM model = CausalLM.Initialize(Config, seed: 7))
        {
            using var scope = TensorScope.BeginNoGrad();
            LoraModels.Weights(model);
            model.named_parameters().Single(named => named.name == "model.layers.1.mlp.up_proj.weight").parameter[3, 4] = float.NaN;
            QwenWeights.Save(model, _base.Path);
        }

        ErrorAssert.Says<InvalidDataException>(
            "model.layers.1.mlp.up_proj.weight: The weight [40, 24] holds NaN", () => QwenPretrained.Load(_base.Path, Options));
    }

    public void Dispose()
    {
        _base.Dispose();
        _adapter.Dispose();
    }
}
