using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>y = x Wᵀ for a few rows of x, as in decoding, by <see cref="SkinnyKernel"/>.</summary>
internal static class SkinnyLinear
{
    /// <summary>Up to here reading W dominates; beyond, a general matrix product wins.</summary>
    internal const int MaxRows = 32;

    /// <summary>Whether these tensors are ones that <see cref="Apply"/> is made for.</summary>
    /// <param name="input">[rows, in].</param>
    /// <param name="weight">[out, in].</param>
    internal static bool Suits(Tensor input, Tensor weight) =>
        input.dim() == 2 && input.shape[0] is >= 1 and <= MaxRows && input.dtype == ScalarType.Float32 && Suits(weight);

    /// <summary>Whether a weight is one that the kernel is made for.</summary>
    /// <param name="weight">[out, in].</param>
    internal static bool Suits(Tensor weight) =>
        SkinnyKernel.IsSupported && HostMemory.Suits(weight)
        && weight.shape[1] % SkinnyKernel.Lanes == 0 && weight.shape[0] % SkinnyKernel.Tile == 0;

    /// <summary>x Wᵀ.</summary>
    /// <param name="input">[rows, in] float32 on the CPU. Borrowed.</param>
    /// <param name="weight">[out, in], likewise. Borrowed.</param>
    /// <returns>[rows, out]. Owned by the caller's scope.</returns>
    internal static unsafe Tensor Apply(Tensor input, Tensor weight)
    {
        using var scope = TensorScope.BeginNoGrad();
        (int rows, int width, int outputs) = ((int)input.shape[0], (int)input.shape[1], (int)weight.shape[0]);
        // The rows that are added are zeros, and their results are dropped.
        int padded = SkinnyKernel.Padded(rows);
        Tensor full = padded == rows ? input.contiguous() : nn.functional.pad(input, [0, 0, 0, padded - rows]);
        Tensor result = empty([padded, outputs], ScalarType.Float32);
        float* x = HostMemory.Address(full), w = HostMemory.Address(weight), y = HostMemory.Address(result);
        RowBlocks.ForEach(outputs, (long)padded * width * outputs, (from, to) =>
            SkinnyKernel.Multiply(x, padded, w, width, from, to, y, outputs));
        return scope.Keep(padded == rows ? result : result.narrow(0, 0, rows));
    }
}
