using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>The matrix product y = x Wᵀ for a few rows of x, which reads W once at the full speed of the memory.</summary>
/// <remarks>
/// A general matrix product reads W at half that speed or less. Here, four rows of W are multiplied by some rows of x at a time, while the
/// next four rows of W are prefetched. Each sum runs over k in the same order whatever the number of rows, so a row's result does not
/// depend on its neighbors.
/// </remarks>
internal static unsafe class SkinnyKernel
{
    /// <summary>The number of rows of W in a tile, and the number to which several rows of x are padded.</summary>
    internal const int Tile = 4;

    /// <summary>The number of floats of which widths are multiples: a vector of the widest kind, and a line of the cache.</summary>
    internal const int Lanes = 16;

    /// <summary>True if the processor has vectors with which the kernel is fast.</summary>
    internal static bool IsSupported => Vector128.IsHardwareAccelerated;

    /// <summary>
    /// Rounds a number of rows up to full tiles, except for a single row. The kernel reads the added rows and writes their results.
    /// </summary>
    internal static int Padded(int rows) => rows == 1 ? 1 : (rows + Tile - 1) / Tile * Tile;

    /// <summary>Computes some columns of x Wᵀ with the processor's widest vectors.</summary>
    /// <inheritdoc cref="Multiply{T}"/>
    internal static void Multiply(float* x, int rows, float* w, int width, int from, int to, float* y, long stride)
    {
        if (Vector512.IsHardwareAccelerated)
        {
            Multiply<Floats512>(x, rows, w, width, from, to, y, stride);
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            Multiply<Floats256>(x, rows, w, width, from, to, y, stride);
        }
        else
        {
            Multiply<Floats128>(x, rows, w, width, from, to, y, stride);
        }
    }

    /// <summary>Computes some columns of x Wᵀ.</summary>
    /// <param name="x">The rows x, [rows, width].</param>
    /// <param name="rows">The number of rows: 1 or a multiple of <see cref="Tile"/>.</param>
    /// <param name="w">The weight W, [outputs, width].</param>
    /// <param name="width">The width, a multiple of <see cref="Lanes"/>.</param>
    /// <param name="from">The first row of W, a multiple of <see cref="Tile"/>.</param>
    /// <param name="to">The end of the rows of W, exclusive, a multiple of <see cref="Tile"/>.</param>
    /// <param name="y">The result, [rows, stride], of which columns <paramref name="from"/> to <paramref name="to"/> are written.</param>
    /// <param name="stride">The distance between rows of y.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Multiply<T>(float* x, int rows, float* w, int width, int from, int to, float* y, long stride)
        where T : unmanaged, IFloats<T>
    {
        for (int output = from; output < to; output += Tile)
        {
            float* tile = w + ((long)output * width);
            if (rows == 1)
            {
                MultiplyRow<T>(x, tile, width, y + output);
                continue;
            }

            // Each tile of x prefetches its share of the next rows of W, so that the memory is read evenly.
            int lines = Math.Max(1, Tile * T.TileRows / rows);
            float* next = tile + (Tile * (long)width), end = next + (Tile * (long)width);
            for (int row = 0; row < rows;)
            {
                float* part = x + ((long)row * width), result = y + (row * stride) + output;
                var prefetch = new Lines(next, next < end ? lines : 0);
                row += MultiplyTile<T>(part, rows - row, tile, width, prefetch, result, stride);
                next += lines * (long)width;
            }
        }
    }

    /// <summary>Computes the dot product of two rows.</summary>
    internal static float Dot<T>(float* x, float* w, int width)
        where T : unmanaged, IFloats<T> => T.Sums(Products<T>(x, w, width), default, default, default).ToScalar();

    // One sum per place of the vector, as in a tile. Wide vectors keep up with the memory when they read one row of W after the other.
    // Narrow ones would wait for each other's sums, so they read four rows at a time.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyRow<T>(float* x, float* w, nint width, float* y)
        where T : unmanaged, IFloats<T>
    {
        float* w1 = w + width, w2 = w1 + width, w3 = w2 + width;
        if (T.Count == Lanes)
        {
            T.Sums(Products<T>(x, w, width), Products<T>(x, w1, width), Products<T>(x, w2, width), Products<T>(x, w3, width)).Store(y);
            return;
        }

        T s0 = default, s1 = default, s2 = default, s3 = default;
        for (nint k = 0; k < width; k += T.Count)
        {
            T v = T.Load(x + k);
            s0 = T.MultiplyAdd(v, T.Load(w + k), s0);
            s1 = T.MultiplyAdd(v, T.Load(w1 + k), s1);
            s2 = T.MultiplyAdd(v, T.Load(w2 + k), s2);
            s3 = T.MultiplyAdd(v, T.Load(w3 + k), s3);
        }

        T.Sums(s0, s1, s2, s3).Store(y);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Products<T>(float* x, float* w, nint width)
        where T : unmanaged, IFloats<T>
    {
        T sums = default;
        for (nint k = 0; k < width; k += T.Count)
        {
            sums = T.MultiplyAdd(T.Load(x + k), T.Load(w + k), sums);
        }

        return sums;
    }

    // Returns the number of rows of x that it has multiplied.
    private static int MultiplyTile<T>(float* x, int rows, float* w, nint width, Lines next, float* y, long stride)
        where T : unmanaged, IFloats<T>
    {
        if (T.TileRows == 4)
        {
            MultiplyFourRows<T>(x, w, width, next, y, stride);
            return 4;
        }

        if (rows is 2 or 4)
        {
            MultiplyTwoRows<T>(x, w, width, next, y, stride);
            return 2;
        }

        MultiplyThreeRows<T>(x, w, width, next, y, stride);
        return 3;
    }

    // 16 sums, four rows of W and a row of x: 21 registers.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyFourRows<T>(float* x, float* w, nint width, Lines next, float* y, long stride)
        where T : unmanaged, IFloats<T>
    {
        float* x1 = x + width, x2 = x1 + width, x3 = x2 + width;
        float* w1 = w + width, w2 = w1 + width, w3 = w2 + width;
        T s00 = default, s01 = default, s02 = default, s03 = default;
        T s10 = default, s11 = default, s12 = default, s13 = default;
        T s20 = default, s21 = default, s22 = default, s23 = default;
        T s30 = default, s31 = default, s32 = default, s33 = default;
        for (nint k = 0; k < width; k += T.Count)
        {
            if (T.Count == Lanes || k % Lanes == 0)
            {
                next.Prefetch(k, width);
            }

            T a = T.Load(w + k), b = T.Load(w1 + k), c = T.Load(w2 + k), d = T.Load(w3 + k);
            T v = T.Load(x + k);
            s00 = T.MultiplyAdd(v, a, s00);
            s01 = T.MultiplyAdd(v, b, s01);
            s02 = T.MultiplyAdd(v, c, s02);
            s03 = T.MultiplyAdd(v, d, s03);
            v = T.Load(x1 + k);
            s10 = T.MultiplyAdd(v, a, s10);
            s11 = T.MultiplyAdd(v, b, s11);
            s12 = T.MultiplyAdd(v, c, s12);
            s13 = T.MultiplyAdd(v, d, s13);
            v = T.Load(x2 + k);
            s20 = T.MultiplyAdd(v, a, s20);
            s21 = T.MultiplyAdd(v, b, s21);
            s22 = T.MultiplyAdd(v, c, s22);
            s23 = T.MultiplyAdd(v, d, s23);
            v = T.Load(x3 + k);
            s30 = T.MultiplyAdd(v, a, s30);
            s31 = T.MultiplyAdd(v, b, s31);
            s32 = T.MultiplyAdd(v, c, s32);
            s33 = T.MultiplyAdd(v, d, s33);
        }

        T.Sums(s00, s01, s02, s03).Store(y);
        T.Sums(s10, s11, s12, s13).Store(y + stride);
        T.Sums(s20, s21, s22, s23).Store(y + (2 * stride));
        T.Sums(s30, s31, s32, s33).Store(y + (3 * stride));
    }

    // Twelve sums, three rows of x and a row of W: 16 registers.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyThreeRows<T>(float* x, float* w, nint width, Lines next, float* y, long stride)
        where T : unmanaged, IFloats<T>
    {
        float* x1 = x + width, x2 = x1 + width;
        float* w1 = w + width, w2 = w1 + width, w3 = w2 + width;
        T s00 = default, s01 = default, s02 = default, s03 = default;
        T s10 = default, s11 = default, s12 = default, s13 = default;
        T s20 = default, s21 = default, s22 = default, s23 = default;
        for (nint k = 0; k < width; k += T.Count)
        {
            if (T.Count == Lanes || k % Lanes == 0)
            {
                next.Prefetch(k, width);
            }

            T v0 = T.Load(x + k), v1 = T.Load(x1 + k), v2 = T.Load(x2 + k);
            T a = T.Load(w + k);
            s00 = T.MultiplyAdd(v0, a, s00);
            s10 = T.MultiplyAdd(v1, a, s10);
            s20 = T.MultiplyAdd(v2, a, s20);
            a = T.Load(w1 + k);
            s01 = T.MultiplyAdd(v0, a, s01);
            s11 = T.MultiplyAdd(v1, a, s11);
            s21 = T.MultiplyAdd(v2, a, s21);
            a = T.Load(w2 + k);
            s02 = T.MultiplyAdd(v0, a, s02);
            s12 = T.MultiplyAdd(v1, a, s12);
            s22 = T.MultiplyAdd(v2, a, s22);
            a = T.Load(w3 + k);
            s03 = T.MultiplyAdd(v0, a, s03);
            s13 = T.MultiplyAdd(v1, a, s13);
            s23 = T.MultiplyAdd(v2, a, s23);
        }

        T.Sums(s00, s01, s02, s03).Store(y);
        T.Sums(s10, s11, s12, s13).Store(y + stride);
        T.Sums(s20, s21, s22, s23).Store(y + (2 * stride));
    }

    // What three rows at a time leave over.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyTwoRows<T>(float* x, float* w, nint width, Lines next, float* y, long stride)
        where T : unmanaged, IFloats<T>
    {
        float* x1 = x + width;
        float* w1 = w + width, w2 = w1 + width, w3 = w2 + width;
        T s00 = default, s01 = default, s02 = default, s03 = default;
        T s10 = default, s11 = default, s12 = default, s13 = default;
        for (nint k = 0; k < width; k += T.Count)
        {
            if (T.Count == Lanes || k % Lanes == 0)
            {
                next.Prefetch(k, width);
            }

            T v0 = T.Load(x + k), v1 = T.Load(x1 + k);
            T a = T.Load(w + k);
            s00 = T.MultiplyAdd(v0, a, s00);
            s10 = T.MultiplyAdd(v1, a, s10);
            a = T.Load(w1 + k);
            s01 = T.MultiplyAdd(v0, a, s01);
            s11 = T.MultiplyAdd(v1, a, s11);
            a = T.Load(w2 + k);
            s02 = T.MultiplyAdd(v0, a, s02);
            s12 = T.MultiplyAdd(v1, a, s12);
            a = T.Load(w3 + k);
            s03 = T.MultiplyAdd(v0, a, s03);
            s13 = T.MultiplyAdd(v1, a, s13);
        }

        T.Sums(s00, s01, s02, s03).Store(y);
        T.Sums(s10, s11, s12, s13).Store(y + stride);
    }

    /// <summary>Rows of W to prefetch.</summary>
    /// <param name="first">The first row.</param>
    /// <param name="count">The number of rows.</param>
    private readonly struct Lines(float* first, int count)
    {
        private readonly float* _first = first;
        private readonly int _count = count;

        // The runtime has no prefetch for ARM64, whose processors recognize streams by themselves.
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        internal void Prefetch(nint k, nint width)
        {
            if (Sse.IsSupported)
            {
                float* line = _first + k;
                for (int i = 0; i < _count; i++, line += width)
                {
                    Sse.Prefetch0(line);
                }
            }
        }
    }
}
