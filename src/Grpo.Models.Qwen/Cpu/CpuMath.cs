using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>
/// Vector functions of a decoding step other than matrix products, on rows of float32 numbers whose length is a multiple of 16.
/// </summary>
internal static unsafe class CpuMath
{
    private const int Lanes = SkinnyKernel.Lanes;

    /// <summary>Computes y = x / √(mean(x²) + ε) · w, as the module RmsNorm does.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void RmsNorm(float* x, float* weight, float epsilon, int width, float* y)
    {
        Vector512<float> squares = default;
        for (int i = 0; i < width; i += Lanes)
        {
            Vector512<float> v = Vector512.Load(x + i);
            squares = Vector512.FusedMultiplyAdd(v, v, squares);
        }

        Vector512<float> scale = Vector512.Create(1 / MathF.Sqrt((Vector512.Sum(squares) / width) + epsilon));
        for (int i = 0; i < width; i += Lanes)
        {
            (Vector512.Load(x + i) * scale * Vector512.Load(weight + i)).Store(y + i);
        }
    }

    /// <summary>Computes gate = silu(gate) · up in place, with silu(x) = x / (1 + e^(−x)).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Gate(float* gate, float* up, int count)
    {
        for (int i = 0; i < count; i += Lanes)
        {
            Vector512<float> x = Vector512.Load(gate + i);
            (x / (Vector512<float>.One + Vector512.Exp(-x)) * Vector512.Load(up + i)).Store(gate + i);
        }
    }

    /// <summary>Computes x += y.</summary>
    internal static void Add(float* x, float* y, int count)
    {
        for (int i = 0; i < count; i += Lanes)
        {
            (Vector512.Load(x + i) + Vector512.Load(y + i)).Store(x + i);
        }
    }

    /// <summary>
    /// Computes y = x · cos + swap(x) · sin, as RotaryEmbedding does. The swap exchanges the halves; the sine carries the sign.
    /// </summary>
    internal static void Rotate(float* x, float* cosine, float* signedSine, int width, float* y)
    {
        int half = width / 2;
        for (int i = 0; i < width; i += Lanes)
        {
            Vector512<float> swapped = Vector512.Load(x + (i < half ? i + half : i - half));
            ((Vector512.Load(x + i) * Vector512.Load(cosine + i)) + (swapped * Vector512.Load(signedSine + i))).Store(y + i);
        }
    }

    /// <summary>
    /// Computes x = e^(scale · (x − max)) in place and returns the sum. Numbers after the end, up to a multiple of 16, become 0.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static float Exponentials(float* x, float scale, int count)
    {
        int padded = (count + Lanes - 1) / Lanes * Lanes;
        new Span<float>(x + count, padded - count).Fill(float.NegativeInfinity);
        Vector512<float> largest = Vector512.Load(x);
        for (int i = Lanes; i < padded; i += Lanes)
        {
            largest = Vector512.Max(largest, Vector512.Load(x + i));
        }

        float most = Max(Vector256.Max(largest.GetLower(), largest.GetUpper()));
        Vector512<float> sums = default;
        for (int i = 0; i < padded; i += Lanes)
        {
            Vector512<float> power = Vector512.Exp((Vector512.Load(x + i) - Vector512.Create(most)) * scale);
            power.Store(x + i);
            sums += power;
        }

        return Vector512.Sum(sums);
    }

    private static float Max(Vector256<float> values)
    {
        float most = values[0];
        for (int i = 1; i < Vector256<float>.Count; i++)
        {
            most = MathF.Max(most, values[i]);
        }

        return most;
    }
}
