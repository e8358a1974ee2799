using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>
/// y = x Wᵀ for a few rows of x, as in decoding: the time goes into reading W once from memory, which a general matrix product does at half the
/// speed of the memory or less. Here rows of W stream past the rows of x, four of each at a time.
/// </summary>
/// <remarks>Each sum runs over k in the same order whatever the number of rows, so a row's result does not depend on its neighbours.</remarks>
internal static class SkinnyLinear
{
    /// <summary>Up to here reading W dominates; beyond, a general matrix product wins.</summary>
    internal const int MaxRows = 32;

    private const int Tile = 4;                        // rows of W and of x at a time: 16 sums stay in registers

    /// <summary>Whether these tensors are ones that <see cref="Apply"/> is made for.</summary>
    /// <param name="input">[rows, in].</param>
    /// <param name="weight">[out, in].</param>
    internal static bool Suits(Tensor input, Tensor weight) =>
        Vector512.IsHardwareAccelerated && input.dim() == 2 && input.shape[0] is >= 1 and <= MaxRows
        && input.device_type == DeviceType.CPU && input.dtype == ScalarType.Float32 && weight.dtype == ScalarType.Float32
        && weight.is_contiguous() && weight.shape[1] % Vector512<float>.Count == 0 && weight.shape[0] % Tile == 0
        && weight.numel() < int.MaxValue / sizeof(float); // a span

    /// <summary>x Wᵀ.</summary>
    /// <param name="input">[rows, in] float32 on the CPU. Borrowed.</param>
    /// <param name="weight">[out, in], likewise. Borrowed.</param>
    /// <returns>[rows, out]. Owned by the caller's scope.</returns>
    internal static Tensor Apply(Tensor input, Tensor weight)
    {
        using var scope = TensorScope.BeginNoGrad();
        (int rows, int width, int outputs) = ((int)input.shape[0], (int)input.shape[1], (int)weight.shape[0]);
        // Full tiles only, unless there is one row: the rows that are added are zeros, and their results are dropped.
        int padded = rows == 1 ? 1 : (rows + Tile - 1) / Tile * Tile;
        Tensor full = padded == rows ? input.contiguous() : nn.functional.pad(input, [0, 0, 0, padded - rows]);
        Tensor result = empty([padded, outputs], ScalarType.Float32);
        RowBlocks.ForEach(outputs, (long)padded * width * outputs, (from, to) =>
            Multiply(Floats(full), Floats(weight), Floats(result), width, outputs, from, to));
        return scope.Keep(padded == rows ? result : result.narrow(0, 0, rows));
    }

    private static Span<float> Floats(Tensor tensor) => MemoryMarshal.Cast<byte, float>(tensor.bytes);

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Multiply(Span<float> input, Span<float> weight, Span<float> result, int width, int outputs, int from, int to)
    {
        int rows = input.Length / width;
        for (int output = from; output < to; output += Tile)
        {
            if (rows == 1)
            {
                MultiplyRow(ref input[0], ref weight[output * width], ref result[output], (nuint)width);
                continue;
            }

            for (int row = 0; row < rows; row += Tile)
            {
                MultiplyTile(
                    ref input[row * width], ref weight[output * width], ref result[(row * outputs) + output], (nuint)width, (nuint)outputs);
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyRow(ref float x, ref float w, ref float y, nuint width)
    {
        ref float w1 = ref Unsafe.Add(ref w, width);
        ref float w2 = ref Unsafe.Add(ref w1, width);
        ref float w3 = ref Unsafe.Add(ref w2, width);
        Vector512<float> s0 = default, s1 = default, s2 = default, s3 = default;
        for (nuint k = 0; k < width; k += (nuint)Vector512<float>.Count)
        {
            Vector512<float> v = Vector512.LoadUnsafe(ref x, k);
            s0 = Vector512.FusedMultiplyAdd(v, Vector512.LoadUnsafe(ref w, k), s0);
            s1 = Vector512.FusedMultiplyAdd(v, Vector512.LoadUnsafe(ref w1, k), s1);
            s2 = Vector512.FusedMultiplyAdd(v, Vector512.LoadUnsafe(ref w2, k), s2);
            s3 = Vector512.FusedMultiplyAdd(v, Vector512.LoadUnsafe(ref w3, k), s3);
        }

        Store(ref y, s0, s1, s2, s3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyTile(ref float x, ref float w, ref float y, nuint width, nuint outputs)
    {
        ref float x1 = ref Unsafe.Add(ref x, width);
        ref float x2 = ref Unsafe.Add(ref x1, width);
        ref float x3 = ref Unsafe.Add(ref x2, width);
        ref float w1 = ref Unsafe.Add(ref w, width);
        ref float w2 = ref Unsafe.Add(ref w1, width);
        ref float w3 = ref Unsafe.Add(ref w2, width);
        Vector512<float> s00 = default, s01 = default, s02 = default, s03 = default;
        Vector512<float> s10 = default, s11 = default, s12 = default, s13 = default;
        Vector512<float> s20 = default, s21 = default, s22 = default, s23 = default;
        Vector512<float> s30 = default, s31 = default, s32 = default, s33 = default;
        for (nuint k = 0; k < width; k += (nuint)Vector512<float>.Count)
        {
            Vector512<float> a = Vector512.LoadUnsafe(ref w, k), b = Vector512.LoadUnsafe(ref w1, k);
            Vector512<float> c = Vector512.LoadUnsafe(ref w2, k), d = Vector512.LoadUnsafe(ref w3, k);
            Vector512<float> v = Vector512.LoadUnsafe(ref x, k);
            s00 = Vector512.FusedMultiplyAdd(v, a, s00);
            s01 = Vector512.FusedMultiplyAdd(v, b, s01);
            s02 = Vector512.FusedMultiplyAdd(v, c, s02);
            s03 = Vector512.FusedMultiplyAdd(v, d, s03);
            v = Vector512.LoadUnsafe(ref x1, k);
            s10 = Vector512.FusedMultiplyAdd(v, a, s10);
            s11 = Vector512.FusedMultiplyAdd(v, b, s11);
            s12 = Vector512.FusedMultiplyAdd(v, c, s12);
            s13 = Vector512.FusedMultiplyAdd(v, d, s13);
            v = Vector512.LoadUnsafe(ref x2, k);
            s20 = Vector512.FusedMultiplyAdd(v, a, s20);
            s21 = Vector512.FusedMultiplyAdd(v, b, s21);
            s22 = Vector512.FusedMultiplyAdd(v, c, s22);
            s23 = Vector512.FusedMultiplyAdd(v, d, s23);
            v = Vector512.LoadUnsafe(ref x3, k);
            s30 = Vector512.FusedMultiplyAdd(v, a, s30);
            s31 = Vector512.FusedMultiplyAdd(v, b, s31);
            s32 = Vector512.FusedMultiplyAdd(v, c, s32);
            s33 = Vector512.FusedMultiplyAdd(v, d, s33);
        }

        Store(ref y, s00, s01, s02, s03);
        Store(ref Unsafe.Add(ref y, outputs), s10, s11, s12, s13);
        Store(ref Unsafe.Add(ref y, 2 * outputs), s20, s21, s22, s23);
        Store(ref Unsafe.Add(ref y, 3 * outputs), s30, s31, s32, s33);
    }

    private static void Store(ref float y, Vector512<float> s0, Vector512<float> s1, Vector512<float> s2, Vector512<float> s3)
    {
        y = Vector512.Sum(s0);
        Unsafe.Add(ref y, 1) = Vector512.Sum(s1);
        Unsafe.Add(ref y, 2) = Vector512.Sum(s2);
        Unsafe.Add(ref y, 3) = Vector512.Sum(s3);
    }
}
