using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>Takes what the host has made to the device of the model.</summary>
internal static class HostUpload
{
    /// <summary>
    /// The tensor on a device. A copy from ordinary memory to a GPU waits until the GPU has done all that it was given before; from page-locked
    /// memory it takes its turn in the GPU's queue and the host goes on. libtorch keeps that memory until the copy is made.
    /// </summary>
    /// <param name="host">On the CPU. Borrowed.</param>
    /// <param name="device">Where to.</param>
    /// <returns>On a CPU the same tensor. Temporaries and result belong to the caller's scope.</returns>
    public static Tensor To(Tensor host, Device device) =>
        device.type == DeviceType.CUDA ? host.pin_memory().to(device, non_blocking: true) : host.to(device);
}
