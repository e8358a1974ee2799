using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;
using System.Text;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>Computes linear layers, y = x Wᵀ + b, with the faster of libtorch's two matrix products.</summary>
/// <remarks>
/// libtorch computes a float32 linear with MKL, which leaves half of AVX-512 unused on processors that Intel did not make. Its convolutions
/// run on oneDNN, which uses all of it. A convolution of width 1 over contiguous channels is a linear: contiguous tensors are not copied,
/// and the gradients are computed by convolutions too. The choice depends on the shape, the processor, the number of threads and memory
/// limits, never on a measurement, so equal runs stay equal.
/// </remarks>
public static class FastLinear
{
    /// <summary>The number of multiplications below which the four views of a convolution cost more than the convolution saves.</summary>
    internal const long MinWork = 1 << 23;

    private const long MinRows = 33; // fewer rows have kernels of their own

    private static readonly bool HasFasterConvolutions = Avx512F.IsSupported && Maker() != "GenuineIntel";

    /// <summary>Computes x Wᵀ + b, differentiable with respect to all three.</summary>
    /// <param name="input">The input x, […, in], floating point. Borrowed.</param>
    /// <param name="weight">The weight W, [out, in], of the same type and device. Borrowed.</param>
    /// <param name="bias">The bias b, [out], or null for none. Borrowed.</param>
    /// <returns>The output y, […, out]. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">The devices differ.</exception>
    /// <exception cref="ExternalException">The shapes or types do not match. The message is libtorch's.</exception>
    public static Tensor Apply(Tensor input, Tensor weight, Tensor? bias = null)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(weight);
        TensorGuard.RequireSameDevice(weight, nameof(weight), input);
        return IsFasterAsConvolution(input, weight) ? ApplyAsConvolution(input, weight, bias) : nn.functional.linear(input, weight, bias);
    }

    /// <summary>
    /// Computes the gradient of <see cref="Apply"/> with respect to its input, g W, for functions that do not keep W in the graph. It
    /// equals autograd's own gradient to the bit.
    /// </summary>
    /// <param name="gradient">The gradient g of the output, […, out]. Borrowed.</param>
    /// <param name="weight">The weight W, [out, in], of the same type and device. Borrowed.</param>
    /// <param name="shape">The shape of the input, […, in].</param>
    /// <returns>The gradient of the input. Owned by the caller's scope.</returns>
    public static Tensor InputGradient(Tensor gradient, Tensor weight, IReadOnlyList<long> shape)
    {
        ArgumentNullException.ThrowIfNull(gradient);
        ArgumentNullException.ThrowIfNull(weight);
        ArgumentNullException.ThrowIfNull(shape);
        TensorGuard.RequireSameDevice(weight, nameof(weight), gradient);
        using var scope = TensorScope.BeginNoGrad();
        Tensor rows = gradient.reshape(-1, weight.shape[0]);
        Tensor result = IsFasterAsConvolution(rows.new_empty([rows.shape[0], weight.shape[1]]), weight)
            ? InputGradientAsConvolution(rows, weight)
            : rows.mm(weight);
        return scope.Keep(result.view([.. shape]));
    }

    /// <summary>Computes the gradient of <see cref="ApplyAsConvolution"/>, [rows, in].</summary>
    internal static Tensor InputGradientAsConvolution(Tensor rows, Tensor weight)
    {
        using var scope = TensorScope.BeginNoGrad();
        (long outputs, long inputs) = (weight.shape[0], weight.shape[1]);
        Tensor image = rows.contiguous().view(1, 1, -1, outputs).permute(0, 3, 1, 2);                    // [1, out, 1, rows]
        Tensor result = nn.functional.conv_transpose2d(image, weight.contiguous().view(outputs, inputs, 1, 1));
        return scope.Keep(result.permute(0, 2, 3, 1).reshape(-1, inputs));                               // from [1, 1, rows, in]
    }

    /// <summary>True if <see cref="Apply"/> computes the linear as a convolution.</summary>
    internal static bool IsFasterAsConvolution(Tensor input, Tensor weight) =>
        HasFasterConvolutions
        && !DeviceTransfer.IsOnDevice(input) && input.dtype == ScalarType.Float32 && weight.dtype == ScalarType.Float32
        && weight.dim() == 2 && input.dim() >= 2 && input.shape[^1] == weight.shape[1] && input.numel() >= MinRows * weight.shape[1]
        && input.numel() * weight.shape[0] >= MinWork
        && get_num_threads() > 1 // with one thread, libtorch's convolution uses MKL's product again
        && !AddressSpace.MayBeRefused; // oneDNN ends the process when memory is refused, where MKL's product throws

    /// <summary>Computes the linear as a convolution, without checking whether that is faster.</summary>
    internal static Tensor ApplyAsConvolution(Tensor input, Tensor weight, Tensor? bias)
    {
        using var scope = TensorScope.Begin();
        (long outputs, long inputs) = (weight.shape[0], weight.shape[1]);
        Tensor image = input.contiguous().view(1, 1, -1, inputs).permute(0, 3, 1, 2);                    // [1, in, 1, rows]
        Tensor result = nn.functional.conv2d(image, weight.contiguous().view(outputs, inputs, 1, 1), bias);
        return scope.Keep(result.permute(0, 2, 3, 1).reshape([.. input.shape[..^1], outputs]));          // from [1, 1, rows, out]
    }

    // CPUID returns the maker's twelve letters in three registers, in this order.
    private static string Maker()
    {
        (int _, int ebx, int ecx, int edx) = X86Base.CpuId(0, 0);
        ReadOnlySpan<int> registers = [ebx, edx, ecx];
        return Encoding.ASCII.GetString(MemoryMarshal.AsBytes(registers));
    }
}
