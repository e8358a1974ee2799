using Grpo.Modeling;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Modeling;

public sealed class TokenBatchTests
{
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void To_takes_every_tensor_to_the_device(bool share)
    {
        using var scope = TensorScope.Begin();
        TokenBatch batch = TokenBatchBuilder.Build([new([1, 2], [3]), new([1, 2], [4, 5])], padTokenId: 0, CPU, share);
        Assert.Same(batch, batch.To(CPU));

        // The meta device, which every machine has, holds shapes only.
        TokenBatch there = batch.To(new Device(DeviceType.META));
        Tensor[] tensors = [there.PromptIds, there.PromptMask, there.CompletionIds, there.CompletionMask];
        Assert.All(tensors, tensor => Assert.Equal(DeviceType.META, tensor.device_type));
        Assert.Equal([[2, 2], [2, 2], [2, 2], [2, 2]], tensors.Select(tensor => tensor.shape));
        Assert.Equal([ScalarType.Int64, ScalarType.Int64, ScalarType.Int64, ScalarType.Float32], tensors.Select(tensor => tensor.dtype));
        Assert.Equal(share, there.SharedPrompts is not null);
        if (there.SharedPrompts is { } shared)
        {
            Assert.Equal((DeviceType.META, DeviceType.META), (shared.FirstRows.device_type, shared.PromptOfRow.device_type));
            Assert.Equal((1L, 2L), (shared.FirstRows.shape[0], shared.PromptOfRow.shape[0]));
        }

        Assert.Equal(DeviceType.CPU, batch.PromptIds.device_type); // borrowed
    }
}
