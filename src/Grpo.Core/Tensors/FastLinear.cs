using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>y = x Wᵀ + b by the faster of libtorch's two matrix products.</summary>
/// <remarks>
/// libtorch computes a float32 linear with MKL, which on processors of other makers than Intel leaves half of AVX-512 unused. Its convolutions
/// run on oneDNN, which does not, and a convolution of width 1 over channels that lie together in memory is a linear: contiguous tensors are not
/// copied, and the gradients take the same way. Which way a product takes depends on its shape, the processor, whether there are threads and whether memory is
/// limited, never on a measurement: equal runs stay equal.
/// </remarks>
public static class FastLinear
{
    /// <summary>Multiplications below which the four views that make a convolution of a linear cost what it saves.</summary>
    internal const long MinWork = 1 << 23;

    private const long MinRows = 33; // fewer have kernels of their own

    private static readonly bool HasFasterConvolutions = Avx512F.IsSupported && Maker() != "GenuineIntel";

    /// <summary>x Wᵀ + b, differentiable in all three.</summary>
    /// <param name="input">[…, in], floating point. Borrowed.</param>
    /// <param name="weight">[out, in], same type and device. Borrowed.</param>
    /// <param name="bias">[out], or null. Borrowed.</param>
    /// <returns>[…, out]. Owned by the caller's scope.</returns>
    /// <exception cref="ExternalException">The shapes, types or devices do not go together; the message is libtorch's.</exception>
    public static Tensor Apply(Tensor input, Tensor weight, Tensor? bias = null)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(weight);
        return IsFasterAsConvolution(input, weight) ? ApplyAsConvolution(input, weight, bias) : nn.functional.linear(input, weight, bias);
    }

    /// <summary>Whether <see cref="Apply"/> takes the way of the convolution.</summary>
    internal static bool IsFasterAsConvolution(Tensor input, Tensor weight) =>
        HasFasterConvolutions
        && input.device_type == DeviceType.CPU && input.dtype == ScalarType.Float32 && weight.dtype == ScalarType.Float32
        && weight.dim() == 2 && input.dim() >= 2 && input.shape[^1] == weight.shape[1] && input.numel() >= MinRows * weight.shape[1]
        && input.numel() * weight.shape[0] >= MinWork
        && get_num_threads() > 1 // with one, libtorch takes its own convolution, which is MKL's product again
        && !AddressSpace.MayBeRefused; // oneDNN ends the process when memory is refused, where MKL's product throws

    /// <summary>The linear as a convolution, wherever it runs.</summary>
    internal static Tensor ApplyAsConvolution(Tensor input, Tensor weight, Tensor? bias)
    {
        using var scope = TensorScope.Begin();
        (long outputs, long inputs) = (weight.shape[0], weight.shape[1]);
        Tensor image = input.contiguous().view(1, 1, -1, inputs).permute(0, 3, 1, 2);                    // [1, in, 1, rows]
        Tensor result = nn.functional.conv2d(image, weight.contiguous().view(outputs, inputs, 1, 1), bias);
        return scope.Keep(result.permute(0, 2, 3, 1).reshape([.. input.shape[..^1], outputs]));          // [1, 1, rows, out] before
    }

    // Twelve letters in three registers, in this order.
    private static string Maker()
    {
        (int _, int ebx, int ecx, int edx) = X86Base.CpuId(0, 0);
        ReadOnlySpan<int> registers = [ebx, edx, ecx];
        return Encoding.ASCII.GetString(MemoryMarshal.AsBytes(registers));
    }
}
