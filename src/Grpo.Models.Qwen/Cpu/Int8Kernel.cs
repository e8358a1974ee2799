using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>
/// Dot products of bytes x and signed bytes w, in tiles of up to four rows of x and four of w. The next four rows of w are prefetched
/// meanwhile.
/// </summary>
internal static unsafe class Int8Kernel
{
    /// <summary>The number of rows of w in a tile, and the number to which several rows of x are padded.</summary>
    internal const int Tile = 4;

    /// <summary>The number of bytes of which widths are multiples.</summary>
    internal const int Lanes = 32;

    private const int CacheLine = 64;

    /// <summary>True if the processor has vectors with which the kernel is fast.</summary>
    internal static bool IsSupported => Avx2.IsSupported || Vector128.IsHardwareAccelerated;

    /// <summary>True if there are 32 registers for vectors, so that the sums of a tile of four by four stay in them.</summary>
    internal static bool HasManyRegisters => Avx512F.VL.IsSupported || AdvSimd.IsSupported;

    /// <summary>The byte of x that represents 0 for this processor.</summary>
    internal static byte Zero => AvxVnni.IsSupported ? Vnni256.Zero : Avx2.IsSupported ? Signed256.Zero : Signed128.Zero;

    /// <summary>Computes Σ x w for rows of x and four rows of w with the processor's best instructions.</summary>
    /// <inheritdoc cref="Multiply{T}"/>
    internal static void Multiply(byte* x, int rows, sbyte* w, sbyte* next, nint width, Vector128<int>* sums)
    {
        if (AvxVnni.IsSupported)
        {
            Multiply<Vnni256>(x, rows, w, next, width, sums);
        }
        else if (Avx2.IsSupported)
        {
            Multiply<Signed256>(x, rows, w, next, width, sums);
        }
        else
        {
            Multiply<Signed128>(x, rows, w, next, width, sums);
        }
    }

    /// <summary>Computes Σ x w for rows of x and four rows of w.</summary>
    /// <param name="x">The rows of x, [rows, width]. They hold the vector's <c>Zero</c> plus a number within ±127.</param>
    /// <param name="rows">The number of rows of x: 1 or 4.</param>
    /// <param name="w">The rows of w, [4, width], within ±127.</param>
    /// <param name="next">The rows of w to prefetch, or <paramref name="w"/> if there are no more.</param>
    /// <param name="width">The width, a multiple of <see cref="Lanes"/> and at most 66,000: the sums are exact in 32 bits.</param>
    /// <param name="sums">The sums of each row of x with the four rows of w.</param>
    internal static void Multiply<T>(byte* x, int rows, sbyte* w, sbyte* next, nint width, Vector128<int>* sums)
        where T : unmanaged, IInt8Vector<T>
    {
        if (rows == 1)
        {
            MultiplyRow<T>(x, w, next, width, sums);
        }
        else if (T.TileRows == Tile)
        {
            MultiplyFourRows<T>(x, w, next, width, sums);
        }
        else
        {
            MultiplyTwoRows<T>(x, w, next, width, sums);
            MultiplyTwoRows<T>(x + (2 * width), w, w, width, sums + 2);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyRow<T>(byte* x, sbyte* w, sbyte* next, nint width, Vector128<int>* sums)
        where T : unmanaged, IInt8Vector<T>
    {
        T s0 = default, s1 = default, s2 = default, s3 = default;
        for (nint k = 0; k < width; k += T.Count)
        {
            Prefetch(next, k, width);
            T v = T.Load(x + k);
            s0 = T.MultiplyAdd(s0, v, T.Load(w + k));
            s1 = T.MultiplyAdd(s1, v, T.Load(w + width + k));
            s2 = T.MultiplyAdd(s2, v, T.Load(w + (2 * width) + k));
            s3 = T.MultiplyAdd(s3, v, T.Load(w + (3 * width) + k));
        }

        sums[0] = T.Sums(s0, s1, s2, s3);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyTwoRows<T>(byte* x, sbyte* w, sbyte* next, nint width, Vector128<int>* sums)
        where T : unmanaged, IInt8Vector<T>
    {
        byte* x1 = x + width;
        sbyte* w1 = w + width, w2 = w1 + width, w3 = w2 + width;
        T s00 = default, s01 = default, s02 = default, s03 = default;
        T s10 = default, s11 = default, s12 = default, s13 = default;
        for (nint k = 0; k < width; k += T.Count)
        {
            Prefetch(next, k, width);
            T a = T.Load(w + k), b = T.Load(w1 + k), c = T.Load(w2 + k), d = T.Load(w3 + k);
            T v = T.Load(x + k);
            s00 = T.MultiplyAdd(s00, v, a);
            s01 = T.MultiplyAdd(s01, v, b);
            s02 = T.MultiplyAdd(s02, v, c);
            s03 = T.MultiplyAdd(s03, v, d);
            v = T.Load(x1 + k);
            s10 = T.MultiplyAdd(s10, v, a);
            s11 = T.MultiplyAdd(s11, v, b);
            s12 = T.MultiplyAdd(s12, v, c);
            s13 = T.MultiplyAdd(s13, v, d);
        }

        sums[0] = T.Sums(s00, s01, s02, s03);
        sums[1] = T.Sums(s10, s11, s12, s13);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyFourRows<T>(byte* x, sbyte* w, sbyte* next, nint width, Vector128<int>* sums)
        where T : unmanaged, IInt8Vector<T>
    {
        byte* x1 = x + width, x2 = x1 + width, x3 = x2 + width;
        sbyte* w1 = w + width, w2 = w1 + width, w3 = w2 + width;
        T s00 = default, s01 = default, s02 = default, s03 = default;
        T s10 = default, s11 = default, s12 = default, s13 = default;
        T s20 = default, s21 = default, s22 = default, s23 = default;
        T s30 = default, s31 = default, s32 = default, s33 = default;
        for (nint k = 0; k < width; k += T.Count)
        {
            Prefetch(next, k, width);
            T a = T.Load(w + k), b = T.Load(w1 + k), c = T.Load(w2 + k), d = T.Load(w3 + k);
            T v = T.Load(x + k);
            s00 = T.MultiplyAdd(s00, v, a);
            s01 = T.MultiplyAdd(s01, v, b);
            s02 = T.MultiplyAdd(s02, v, c);
            s03 = T.MultiplyAdd(s03, v, d);
            v = T.Load(x1 + k);
            s10 = T.MultiplyAdd(s10, v, a);
            s11 = T.MultiplyAdd(s11, v, b);
            s12 = T.MultiplyAdd(s12, v, c);
            s13 = T.MultiplyAdd(s13, v, d);
            v = T.Load(x2 + k);
            s20 = T.MultiplyAdd(s20, v, a);
            s21 = T.MultiplyAdd(s21, v, b);
            s22 = T.MultiplyAdd(s22, v, c);
            s23 = T.MultiplyAdd(s23, v, d);
            v = T.Load(x3 + k);
            s30 = T.MultiplyAdd(s30, v, a);
            s31 = T.MultiplyAdd(s31, v, b);
            s32 = T.MultiplyAdd(s32, v, c);
            s33 = T.MultiplyAdd(s33, v, d);
        }

        sums[0] = T.Sums(s00, s01, s02, s03);
        sums[1] = T.Sums(s10, s11, s12, s13);
        sums[2] = T.Sums(s20, s21, s22, s23);
        sums[3] = T.Sums(s30, s31, s32, s33);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(sbyte* next, nint k, nint width)
    {
        if (Sse.IsSupported && k % CacheLine == 0)
        {
            Sse.Prefetch0(next + k);
            Sse.Prefetch0(next + width + k);
            Sse.Prefetch0(next + (2 * width) + k);
            Sse.Prefetch0(next + (3 * width) + k);
        }
    }
}
