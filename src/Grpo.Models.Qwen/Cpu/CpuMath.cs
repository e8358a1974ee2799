using System.Runtime.CompilerServices;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>
/// Vector functions of a decoding step other than matrix products, on rows of float32 numbers whose length is a multiple of 16.
/// </summary>
internal static unsafe class CpuMath
{
    /// <summary>Computes y = x / √(mean(x²) + ε) · w, as the module RmsNorm does.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void RmsNorm<T>(float* x, float* weight, float epsilon, int width, float* y)
        where T : unmanaged, IFloats<T>
    {
        T squares = default;
        for (int i = 0; i < width; i += T.Count)
        {
            T v = T.Load(x + i);
            squares = T.MultiplyAdd(v, v, squares);
        }

        T scale = T.Create(1 / MathF.Sqrt((T.Sum(squares) / width) + epsilon));
        for (int i = 0; i < width; i += T.Count)
        {
            T.Store(T.Load(x + i) * scale * T.Load(weight + i), y + i);
        }
    }

    /// <summary>Computes gate = silu(gate) · up in place, with silu(x) = x / (1 + e^(−x)).</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static void Gate<T>(float* gate, float* up, int count)
        where T : unmanaged, IFloats<T>
    {
        for (int i = 0; i < count; i += T.Count)
        {
            T x = T.Load(gate + i);
            T.Store(x / (T.Create(1) + T.Exp(default(T) - x)) * T.Load(up + i), gate + i);
        }
    }

    /// <summary>Computes x += y.</summary>
    internal static void Add<T>(float* x, float* y, int count)
        where T : unmanaged, IFloats<T>
    {
        for (int i = 0; i < count; i += T.Count)
        {
            T.Store(T.Load(x + i) + T.Load(y + i), x + i);
        }
    }

    /// <summary>
    /// Computes y = x · cos + swap(x) · sin, as RotaryEmbedding does. The swap exchanges the halves; the sine carries the sign.
    /// </summary>
    internal static void Rotate<T>(float* x, float* cosine, float* signedSine, int width, float* y)
        where T : unmanaged, IFloats<T>
    {
        int half = width / 2;
        for (int i = 0; i < width; i += T.Count)
        {
            T swapped = T.Load(x + (i < half ? i + half : i - half));
            T.Store((T.Load(x + i) * T.Load(cosine + i)) + (swapped * T.Load(signedSine + i)), y + i);
        }
    }

    /// <summary>
    /// Computes x = e^(scale · (x − max)) in place and returns the sum. Numbers after the end, up to a multiple of 16, become 0.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal static float Exponentials<T>(float* x, float scale, int count)
        where T : unmanaged, IFloats<T>
    {
        int padded = (count + SkinnyKernel.Lanes - 1) / SkinnyKernel.Lanes * SkinnyKernel.Lanes;
        new Span<float>(x + count, padded - count).Fill(float.NegativeInfinity);
        T largest = T.Load(x);
        for (int i = T.Count; i < padded; i += T.Count)
        {
            largest = T.Max(largest, T.Load(x + i));
        }

        T most = T.Create(T.Largest(largest)), factor = T.Create(scale);
        T sums = default;
        for (int i = 0; i < padded; i += T.Count)
        {
            T power = T.Exp((T.Load(x + i) - most) * factor);
            T.Store(power, x + i);
            sums += power;
        }

        return T.Sum(sums);
    }
}
