using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>The numbers of tensors in main memory, for kernels of our own.</summary>
internal static class HostMemory
{
    /// <summary>Whether a tensor's numbers lie one behind the other in main memory, as float32, and a span can hold them.</summary>
    internal static bool Suits(Tensor tensor) =>
        tensor.device_type == DeviceType.CPU && tensor.dtype == ScalarType.Float32 && tensor.is_contiguous()
        && tensor.numel() is > 0 and < int.MaxValue / sizeof(float);

    /// <summary>Where the numbers of a float32 tensor begin: valid while the tensor lives.</summary>
    /// <param name="tensor">One that <see cref="Suits"/>. Borrowed.</param>
    internal static unsafe float* Address(Tensor tensor) => (float*)Bytes(tensor);

    /// <summary>Where the bytes of a tensor begin: valid while the tensor lives.</summary>
    /// <param name="tensor">Contiguous, on the CPU, of less than 2³¹ bytes. Borrowed.</param>
    internal static unsafe byte* Bytes(Tensor tensor)
    {
        fixed (byte* first = tensor.bytes)
        {
            return first; // not managed memory: it does not move
        }
    }
}
