using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>Direct access to the numbers of tensors in main memory, for our own kernels.</summary>
internal static class CpuMemory
{
    /// <summary>True if a tensor is contiguous float32 in main memory and small enough for a span.</summary>
    internal static bool Suits(Tensor tensor) =>
        tensor.device_type == DeviceType.CPU && tensor.dtype == ScalarType.Float32 && tensor.is_contiguous()
        && tensor.numel() is > 0 and < int.MaxValue / sizeof(float);

    /// <summary>Returns the address of a float32 tensor's first number. It is valid while the tensor lives.</summary>
    /// <param name="tensor">A tensor for which <see cref="Suits"/> is true. Borrowed.</param>
    internal static unsafe float* Address(Tensor tensor) => (float*)Bytes(tensor);

    /// <summary>Returns the address of a tensor's first byte. It is valid while the tensor lives.</summary>
    /// <param name="tensor">A contiguous tensor on the CPU of less than 2³¹ bytes. Borrowed.</param>
    internal static unsafe byte* Bytes(Tensor tensor)
    {
        fixed (byte* first = tensor.bytes)
        {
            return first; // native memory: the garbage collector does not move it
        }
    }
}
