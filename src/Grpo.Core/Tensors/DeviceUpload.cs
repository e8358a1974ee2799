using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>Copies tensors from the CPU to the model's device.</summary>
internal static class DeviceUpload
{
    /// <summary>
    /// Copies a tensor to a device. A copy from ordinary memory to a GPU waits until the GPU's queue is empty. A copy from page-locked
    /// memory is queued and the caller continues; libtorch keeps that memory until the copy is done.
    /// </summary>
    /// <param name="source">The tensor on the CPU. Borrowed.</param>
    /// <param name="device">The target device.</param>
    /// <returns>The copy; on a CPU the tensor itself. Temporaries and result belong to the caller's scope.</returns>
    public static Tensor To(Tensor source, Device device) =>
        device.type == DeviceType.CUDA ? source.pin_memory().to(device, non_blocking: true) : source.to(device);
}
