using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>The matrix product y = x Wᵀ for a few rows of x, which reads W once at the full speed of the memory.</summary>
/// <remarks>
/// A general matrix product reads W at half that speed or less. Here, four rows of W are multiplied by four rows of x while the next four
/// rows of W are prefetched. Each sum runs over k in the same order whatever the number of rows, so a row's result does not
/// depend on its neighbors.
/// </remarks>
internal static unsafe class SkinnyKernel
{
    /// <summary>The number of rows of W and of x in a tile: 16 sums stay in registers.</summary>
    internal const int Tile = 4;

    /// <summary>The number of floats in a vector; widths are multiples of it.</summary>
    internal const int Lanes = 16;

    /// <summary>True if the processor has the instructions that the kernel needs.</summary>
    internal static bool IsSupported => Vector512.IsHardwareAccelerated && Avx.IsSupported;

    /// <summary>
    /// Rounds a number of rows up to full tiles, except for a single row. The kernel reads the added rows and writes their results.
    /// </summary>
    internal static int Padded(int rows) => rows == 1 ? 1 : (rows + Tile - 1) / Tile * Tile;

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
    internal static void Multiply(float* x, int rows, float* w, int width, int from, int to, float* y, long stride)
    {
        for (int output = from; output < to; output += Tile)
        {
            float* tile = w + ((long)output * width);
            if (rows == 1)
            {
                float* tile1 = tile + width, tile2 = tile1 + width, tile3 = tile2 + width;
                Sums(Products(x, tile, width), Products(x, tile1, width), Products(x, tile2, width), Products(x, tile3, width))
                    .Store(y + output);
                continue;
            }

            float* next = tile + (Tile * (long)width);
            for (int row = 0; row < rows; row += Tile)
            {
                MultiplyTile(x + ((long)row * width), tile, next, width, y + (row * stride) + output, stride);
                next = tile; // prefetched by the first rows
            }
        }
    }

    /// <summary>Computes the dot product of two rows.</summary>
    internal static float Dot(float* x, float* w, int width) => Sums(Products(x, w, width), default, default, default).ToScalar();

    // One sum per lane, as in a tile. Reads one row of W after the other, at the speed of the memory.
    private static Vector512<float> Products(float* x, float* w, nint width)
    {
        Vector512<float> sums = default;
        for (nint k = 0; k < width; k += Lanes)
        {
            sums = Vector512.FusedMultiplyAdd(Vector512.Load(x + k), Vector512.Load(w + k), sums);
        }

        return sums;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyTile(float* x, float* w, float* next, nint width, float* y, long stride)
    {
        float* x1 = x + width, x2 = x1 + width, x3 = x2 + width;
        float* w1 = w + width, w2 = w1 + width, w3 = w2 + width;
        float* next1 = next + width, next2 = next1 + width, next3 = next2 + width;
        Vector512<float> s00 = default, s01 = default, s02 = default, s03 = default;
        Vector512<float> s10 = default, s11 = default, s12 = default, s13 = default;
        Vector512<float> s20 = default, s21 = default, s22 = default, s23 = default;
        Vector512<float> s30 = default, s31 = default, s32 = default, s33 = default;
        for (nint k = 0; k < width; k += Lanes)
        {
            Sse.Prefetch0(next + k);
            Sse.Prefetch0(next1 + k);
            Sse.Prefetch0(next2 + k);
            Sse.Prefetch0(next3 + k);
            Vector512<float> a = Vector512.Load(w + k), b = Vector512.Load(w1 + k), c = Vector512.Load(w2 + k), d = Vector512.Load(w3 + k);
            Vector512<float> v = Vector512.Load(x + k);
            s00 = Vector512.FusedMultiplyAdd(v, a, s00);
            s01 = Vector512.FusedMultiplyAdd(v, b, s01);
            s02 = Vector512.FusedMultiplyAdd(v, c, s02);
            s03 = Vector512.FusedMultiplyAdd(v, d, s03);
            v = Vector512.Load(x1 + k);
            s10 = Vector512.FusedMultiplyAdd(v, a, s10);
            s11 = Vector512.FusedMultiplyAdd(v, b, s11);
            s12 = Vector512.FusedMultiplyAdd(v, c, s12);
            s13 = Vector512.FusedMultiplyAdd(v, d, s13);
            v = Vector512.Load(x2 + k);
            s20 = Vector512.FusedMultiplyAdd(v, a, s20);
            s21 = Vector512.FusedMultiplyAdd(v, b, s21);
            s22 = Vector512.FusedMultiplyAdd(v, c, s22);
            s23 = Vector512.FusedMultiplyAdd(v, d, s23);
            v = Vector512.Load(x3 + k);
            s30 = Vector512.FusedMultiplyAdd(v, a, s30);
            s31 = Vector512.FusedMultiplyAdd(v, b, s31);
            s32 = Vector512.FusedMultiplyAdd(v, c, s32);
            s33 = Vector512.FusedMultiplyAdd(v, d, s33);
        }

        Sums(s00, s01, s02, s03).Store(y);
        Sums(s10, s11, s12, s13).Store(y + stride);
        Sums(s20, s21, s22, s23).Store(y + (2 * stride));
        Sums(s30, s31, s32, s33).Store(y + (3 * stride));
    }

    /// <summary>Returns the sum over each of four vectors.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector128<float> Sums(Vector512<float> s0, Vector512<float> s1, Vector512<float> s2, Vector512<float> s3)
    {
        Vector256<float> pairs = Avx.HorizontalAdd(
            Avx.HorizontalAdd(s0.GetLower() + s0.GetUpper(), s1.GetLower() + s1.GetUpper()),
            Avx.HorizontalAdd(s2.GetLower() + s2.GetUpper(), s3.GetLower() + s3.GetUpper()));
        return pairs.GetLower() + pairs.GetUpper();
    }
}
