using Grpo.Modeling;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Tests.Text;
using Grpo.Models.Qwen.Weights;
using Grpo.Tensors;
using Grpo.Testing;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

public sealed class ReferenceDeviceTests : IDisposable
{
    private static readonly TokenSequence[] Sequences = [new([1, 2, 3], [4, 5]), new([6], [7, 8, 9]), new([1, 2, 3], [10])];

    private readonly TemporaryFolder _folder = new();

    public ReferenceDeviceTests()
    {
        using var model = CausalLM.Initialize(TinyModels.Config() with { VocabularySize = 264 }, seed: 7);
        QwenWeights.Save(model, _folder.Path);
        TinyTokenizer.Load(TinyTokenizer.TokenizerJson()).Save(_folder.Path);
    }

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_reference_on_a_device_of_its_own_has_the_log_probs_of_one_with_the_policy(bool share)
    {
        using var policy = new QwenPolicy(TinyModels.Create());
        using QwenReferenceModel beside = QwenReferenceModel.CopyOf(policy), named = QwenReferenceModel.CopyOf(policy, CPU);
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch batch = TokenBatchBuilder.Build(Sequences, padTokenId: 0, CPU, share);
        Tensor logProbs = named.LogProbs(batch, 0.8);
        Assert.Equal(DeviceType.CPU, logProbs.device_type);
        TensorAssert.Identical(beside.LogProbs(batch, 0.8), logProbs, "log-probs");
        TensorAssert.Identical(policy.LogProbs(batch, 0.8), logProbs, "log-probs of the policy");
        Assert.Equal((3L, 2L), (batch.Count, batch.PromptIds[0, 1].item<long>())); // the batch is still there
    }

    [Fact]
    public void A_copy_can_live_on_another_device()
    {
        // The meta device, which every machine has, holds shapes only.
        using var policy = new QwenPolicy(TinyModels.Create());
        using QwenReferenceModel reference = QwenReferenceModel.CopyOf(policy, new Device(DeviceType.META));
        Assert.All(
            reference.Module.parameters(),
            parameter => Assert.Equal((DeviceType.META, false), (parameter.device_type, parameter.requires_grad)));
        Assert.All(
            policy.Module.parameters(),
            parameter => Assert.Equal((DeviceType.CPU, true), (parameter.device_type, parameter.requires_grad)));
    }

    [Fact]
    public async Task Loading_takes_the_device_of_the_reference()
    {
        using QwenPretrained qwen = await QwenPretrained.LoadAsync(
            _folder.Path, new QwenLoadOptions { WithReference = true, ReferenceDevice = "cpu" });
        using QwenPretrained plain = await QwenPretrained.LoadAsync(_folder.Path, new QwenLoadOptions { WithReference = true });
        await Assert.ThrowsAsync<ArgumentException>(
            () => QwenPretrained.LoadAsync(_folder.Path, new QwenLoadOptions { WithReference = true, ReferenceDevice = "gpu" }));
        // not read
        using QwenPretrained without = await QwenPretrained.LoadAsync(_folder.Path, new QwenLoadOptions { ReferenceDevice = "gpu" });
        Assert.Null(without.Reference);
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch batch = TokenBatchBuilder.Build(Sequences, padTokenId: 0, CPU);
        TensorAssert.Identical(plain.Reference!.LogProbs(batch, 1), qwen.Reference!.LogProbs(batch, 1), "log-probs");
    }

    [Fact]
    public async Task With_an_adapter_there_is_no_copy_that_could_be_elsewhere()
    {
        var options = new QwenLoadOptions { WithReference = true, ReferenceDevice = "cpu", Lora = LoraModels.Options };
        var error = await Assert.ThrowsAsync<ArgumentException>(() => QwenPretrained.LoadAsync(_folder.Path, options));
        Assert.StartsWith(
            "ReferenceDevice is 'cpu', but with an adapter the reference is the policy's own base with the adapter off: "
            + "there is no copy that could be elsewhere. Leave ReferenceDevice out.",
            error.Message, StringComparison.Ordinal);
    }

    [CudaFact]
    public void A_reference_in_main_memory_serves_a_policy_on_a_gpu()
    {
        var gpu = new Device(DeviceType.CUDA, 0);
        using var policy = new QwenPolicy(CausalLM.Initialize(TinyModels.Config(), seed: 7, gpu));
        using QwenReferenceModel reference = QwenReferenceModel.CopyOf(policy, CPU);
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch batch = TokenBatchBuilder.Build(Sequences, padTokenId: 0, gpu, sharePrompts: true);
        Tensor logProbs = reference.LogProbs(batch, 0.8);
        Assert.Equal((DeviceType.CUDA, DeviceType.CPU), (logProbs.device_type, reference.Module.parameters().First().device_type));
        TensorAssert.Near(policy.LogProbs(batch, 0.8).cpu(), logProbs.cpu(), 1e-3, "log-probs");
    }
}
