using System.Buffers.Binary;

namespace Grpo.Models.Qwen.Export;

/// <summary>
/// llama.cpp's Q8_0: blocks of 32 values, each with a scale d in float16 and 32 signed bytes q, so that x ≈ d · q.
/// </summary>
internal static class Q8Blocks
{
    /// <summary>The number of values in a block.</summary>
    internal const int Width = 32;

    /// <summary>The size of a block: the scale and one byte for each value.</summary>
    internal const int Bytes = sizeof(ushort) + Width;

    /// <summary>Rounds values: d = max |x| / 127 and q = x / d, halves away from zero, as llama.cpp rounds them.</summary>
    /// <param name="values">The values. Their number is a multiple of <see cref="Width"/>.</param>
    /// <param name="target">The blocks.</param>
    /// <returns>False if a scale is too large for float16; the blocks are then worthless.</returns>
    internal static bool TryRound(ReadOnlySpan<float> values, Span<byte> target)
    {
        for (int block = 0; block < values.Length / Width; block++)
        {
            ReadOnlySpan<float> from = values.Slice(block * Width, Width);
            Span<byte> to = target.Slice(block * Bytes, Bytes);
            float largest = 0;
            foreach (float value in from)
            {
                largest = Math.Max(largest, Math.Abs(value));
            }

            float scale = largest / 127;
            if (Half.IsInfinity((Half)scale))
            {
                return false;
            }

            // The factor is that of the scale before it is rounded to float16.
            float inverse = scale == 0 ? 0 : 1 / scale;
            BinaryPrimitives.WriteHalfLittleEndian(to, (Half)scale);
            for (int i = 0; i < Width; i++)
            {
                to[sizeof(ushort) + i] = (byte)(sbyte)MathF.Round(from[i] * inverse, MidpointRounding.AwayFromZero);
            }
        }

        return true;
    }
}
