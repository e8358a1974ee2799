using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>
/// Rows of numbers rounded to bytes with one scale each, x ≈ scale · (byte − 128): the input of a product with an <see cref="Int8Weight"/>.
/// </summary>
internal sealed unsafe class Int8Rows : IDisposable
{
    /// <summary>The byte that represents 0.</summary>
    internal const int Zero = 128;

    private byte* _bytes;
    private float* _scales;

    /// <param name="rows">The number of rows to allocate.</param>
    /// <param name="width">The width of the widest row.</param>
    internal Int8Rows(int rows, int width)
    {
        _bytes = (byte*)NativeMemory.AlignedAlloc((nuint)rows * (nuint)width, (nuint)Vector512<byte>.Count);
        _scales = (float*)NativeMemory.Alloc((nuint)rows, sizeof(float));
    }

    ~Int8Rows() => Free();

    /// <summary>Returns the bytes of a row.</summary>
    internal byte* Row(int row, int width) => _bytes + ((long)row * width);

    /// <summary>Returns the scale of a row.</summary>
    internal float Scale(int row) => _scales[row];

    /// <summary>Rounds rows and keeps them until the next call.</summary>
    /// <param name="values">The rows, [rows, width] float32.</param>
    /// <param name="rows">The number of rows; further ones, up to a multiple of 4, become zeros.</param>
    /// <param name="width">The width of a row, a multiple of 32.</param>
    internal void Round(float* values, int rows, int width)
    {
        for (int row = 0; row < Int8Weight.Padded(rows); row++)
        {
            var line = new Span<byte>(Row(row, width), width);
            _scales[row] = row < rows ? Round(new ReadOnlySpan<float>(values + ((long)row * width), width), line) : Clear(line);
        }
    }

    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    private void Free()
    {
        NativeMemory.AlignedFree(_bytes); // does nothing for null
        NativeMemory.Free(_scales);
        _bytes = null;
        _scales = null;
    }

    private static float Clear(Span<byte> line)
    {
        line.Fill(Zero);
        return 0;
    }

    private static float Round(ReadOnlySpan<float> values, Span<byte> bytes)
    {
        Vector256<float> largest = default;
        for (int i = 0; i < values.Length; i += Vector256<float>.Count)
        {
            largest = Vector256.Max(largest, Vector256.Abs(Vector256.Create(values[i..])));
        }

        float scale = 0;
        for (int i = 0; i < Vector256<float>.Count; i++)
        {
            scale = MathF.Max(scale, largest[i] / 127);
        }

        if (scale == 0 || !float.IsFinite(scale))
        {
            Clear(bytes);
            return scale * 0; // NaN if the row holds NaN or ∞, so that the logits show it
        }

        Vector256<float> inverse = Vector256.Create(1 / scale);
        for (int i = 0; i < values.Length; i += Vector256<byte>.Count)
        {
            Vector256<short> low = Vector256.Narrow(Integers(values[i..], inverse), Integers(values[(i + 8)..], inverse));
            Vector256<short> high = Vector256.Narrow(Integers(values[(i + 16)..], inverse), Integers(values[(i + 24)..], inverse));
            (Vector256.Narrow(low, high).AsByte() ^ Vector256.Create((byte)Zero)).CopyTo(bytes[i..]);
        }

        return scale;
    }

    // Adding 1.5 · 2²³ rounds to the nearest integer, which is then in the low bits of the float.
    private static Vector256<int> Integers(ReadOnlySpan<float> values, Vector256<float> inverse) =>
        ((Vector256.Create(values) * inverse) + Vector256.Create(12582912f)).AsInt32();
}
