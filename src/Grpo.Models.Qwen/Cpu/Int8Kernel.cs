using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>
/// Dot products of unsigned bytes x and signed bytes w, in tiles of four rows each. The next four rows of w are prefetched meanwhile.
/// </summary>
internal static unsafe class Int8Kernel
{
    /// <summary>The number of rows of x and of w in a tile: 16 sums stay in registers.</summary>
    internal const int Tile = 4;

    /// <summary>The number of bytes in a vector; widths are multiples of it.</summary>
    internal const int Lanes = 32;

    private const int CacheLine = 64;

    /// <summary>True if the processor has the instructions that the kernel needs.</summary>
    internal static bool IsSupported => Avx2.IsSupported;

    /// <summary>Computes Σ x w for four rows of x and four rows of w.</summary>
    /// <param name="x">The rows of x, [4, width].</param>
    /// <param name="w">The rows of w, [4, width].</param>
    /// <param name="next">The rows of w to prefetch, or <paramref name="w"/> if there are no more.</param>
    /// <param name="width">The width, a multiple of <see cref="Lanes"/> and at most 66,000: the sums are exact in 32 bits.</param>
    /// <param name="sums">The sums of each row of x with the four rows of w.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Multiply(byte* x, sbyte* w, sbyte* next, nint width, Vector128<int>* sums)
    {
        byte* x1 = x + width, x2 = x1 + width, x3 = x2 + width;
        sbyte* w1 = w + width, w2 = w1 + width, w3 = w2 + width;
        sbyte* next1 = next + width, next2 = next1 + width, next3 = next2 + width;
        Vector256<int> s00 = default, s01 = default, s02 = default, s03 = default;
        Vector256<int> s10 = default, s11 = default, s12 = default, s13 = default;
        Vector256<int> s20 = default, s21 = default, s22 = default, s23 = default;
        Vector256<int> s30 = default, s31 = default, s32 = default, s33 = default;
        for (nint k = 0; k < width; k += Lanes)
        {
            if (k % CacheLine == 0)
            {
                Sse.Prefetch0(next + k);
                Sse.Prefetch0(next1 + k);
                Sse.Prefetch0(next2 + k);
                Sse.Prefetch0(next3 + k);
            }

            Vector256<sbyte> a = Vector256.Load(w + k), b = Vector256.Load(w1 + k), c = Vector256.Load(w2 + k), d = Vector256.Load(w3 + k);
            Vector256<byte> v = Vector256.Load(x + k);
            s00 = Accumulate(s00, v, a);
            s01 = Accumulate(s01, v, b);
            s02 = Accumulate(s02, v, c);
            s03 = Accumulate(s03, v, d);
            v = Vector256.Load(x1 + k);
            s10 = Accumulate(s10, v, a);
            s11 = Accumulate(s11, v, b);
            s12 = Accumulate(s12, v, c);
            s13 = Accumulate(s13, v, d);
            v = Vector256.Load(x2 + k);
            s20 = Accumulate(s20, v, a);
            s21 = Accumulate(s21, v, b);
            s22 = Accumulate(s22, v, c);
            s23 = Accumulate(s23, v, d);
            v = Vector256.Load(x3 + k);
            s30 = Accumulate(s30, v, a);
            s31 = Accumulate(s31, v, b);
            s32 = Accumulate(s32, v, c);
            s33 = Accumulate(s33, v, d);
        }

        sums[0] = Sums(s00, s01, s02, s03);
        sums[1] = Sums(s10, s11, s12, s13);
        sums[2] = Sums(s20, s21, s22, s23);
        sums[3] = Sums(s30, s31, s32, s33);
    }

    /// <summary>Adds the products of four neighbors each, in one instruction if the processor has it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Accumulate(Vector256<int> sum, Vector256<byte> x, Vector256<sbyte> w)
    {
        if (AvxVnni.IsSupported)
        {
            return AvxVnni.MultiplyWideningAndAdd(sum, x, w);
        }

        (Vector256<ushort> xLow, Vector256<ushort> xHigh) = Vector256.Widen(x);
        (Vector256<short> wLow, Vector256<short> wHigh) = Vector256.Widen(w);
        return sum + Avx2.MultiplyAddAdjacent(xLow.AsInt16(), wLow) + Avx2.MultiplyAddAdjacent(xHigh.AsInt16(), wHigh);
    }

    /// <summary>Returns the sum over each of four vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<int> Sums(Vector256<int> s0, Vector256<int> s1, Vector256<int> s2, Vector256<int> s3)
    {
        Vector256<int> pairs = Avx2.HorizontalAdd(Avx2.HorizontalAdd(s0, s1), Avx2.HorizontalAdd(s2, s3));
        return pairs.GetLower() + pairs.GetUpper();
    }
}
