using System.Runtime.Intrinsics;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>The rounding of a row of float32 numbers to 8 bits with one scale: x ≈ scale · n, where n is within ±127.</summary>
internal static class Int8Rounding
{
    /// <summary>Rounds a row.</summary>
    /// <param name="values">The row. Its length is a multiple of 32.</param>
    /// <param name="zero">The byte that represents 0: 0 for signed bytes n, 128 for unsigned bytes n + 128.</param>
    /// <param name="bytes">Receives the bytes.</param>
    /// <returns>The scale; 0 for a row of zeros, and NaN for a row that is not finite.</returns>
    internal static float Round(ReadOnlySpan<float> values, byte zero, Span<byte> bytes)
    {
        float scale = Largest(values) / 127;
        if (scale == 0 || !float.IsFinite(scale))
        {
            bytes.Fill(zero);
            return scale * 0; // NaN if the row holds NaN or ∞, so that the logits show it
        }

        Vector256<float> inverse = Vector256.Create(1 / scale);
        Vector256<byte> zeros = Vector256.Create(zero);
        for (int i = 0; i < values.Length; i += Vector256<byte>.Count)
        {
            Vector256<short> low = Vector256.Narrow(Integers(values[i..], inverse), Integers(values[(i + 8)..], inverse));
            Vector256<short> high = Vector256.Narrow(Integers(values[(i + 16)..], inverse), Integers(values[(i + 24)..], inverse));
            (Vector256.Narrow(low, high).AsByte() ^ zeros).CopyTo(bytes[i..]);
        }

        return scale;
    }

    private static float Largest(ReadOnlySpan<float> values)
    {
        Vector256<float> largest = default;
        for (int i = 0; i < values.Length; i += Vector256<float>.Count)
        {
            largest = Vector256.Max(largest, Vector256.Abs(Vector256.Create(values[i..])));
        }

        float most = 0;
        for (int i = 0; i < Vector256<float>.Count; i++)
        {
            most = MathF.Max(most, largest[i]);
        }

        return most;
    }

    // Adding 1.5 · 2²³ rounds to the nearest integer, which is then in the low bits of the float.
    private static Vector256<int> Integers(ReadOnlySpan<float> values, Vector256<float> inverse) =>
        ((Vector256.Create(values) * inverse) + Vector256.Create(12582912f)).AsInt32();
}
