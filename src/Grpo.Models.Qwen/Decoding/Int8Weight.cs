using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>
/// A weight in 8 bits with one scale per row, which is multiplied by rows that are rounded to 8 bits with one scale each (W8A8): a quarter of
/// float32's bytes to read, and integer products.
/// </summary>
/// <remarks>
/// x ≈ a·(u − 128) with bytes u, W ≈ b·s with signed bytes s, so x·W = a·b·(Σ u·s − 128·Σ s); the last sum is known beforehand. Sums are exact
/// in 32 bits up to a width of 66,000.
/// </remarks>
internal sealed class Int8Weight : IDisposable
{
    /// <summary>With more rows the arithmetic dominates, and a general float32 product is as fast.</summary>
    internal const int MaxRows = 64;

    private const int Zero = 128;
    private const int InputTile = 4;
    private const int WeightTile = 2;
    private const int RowsPerPass = 4096;              // of the weight while it is rounded: bounds the temporaries

    private readonly Tensor _values;                   // [out, in] int8
    private readonly float[] _scales;                  // [out]
    private readonly int[] _sums;                      // [out]
    private readonly int _outputs;
    private readonly int _width;

    /// <param name="weight">[out, in] on the CPU, any float type. Borrowed.</param>
    internal Int8Weight(Tensor weight)
    {
        using var scope = TensorScope.BeginNoGrad();
        (_outputs, _width) = ((int)weight.shape[0], (int)weight.shape[1]);
        _scales = new float[_outputs];
        _sums = new int[_outputs];
        _values = empty([_outputs, _width], ScalarType.Int8);
        for (int row = 0; row < _outputs; row += RowsPerPass)
        {
            using var pass = TensorScope.BeginNoGrad();
            int count = Math.Min(RowsPerPass, _outputs - row);
            Tensor part = weight.narrow(0, row, count).to(ScalarType.Float32);
            Tensor scales = part.abs().amax([1], keepdim: true).div_(127).clamp_min_(1e-12);             // [rows, 1]
            Tensor rounded = part.div(scales).round_();
            _values.narrow(0, row, count).copy_(rounded);
            scales.data<float>().ToArray().CopyTo(_scales, row);
            rounded.sum(1).to(ScalarType.Int32).data<int>().ToArray().CopyTo(_sums, row);
        }

        scope.Release(_values);
    }

    /// <summary>Whether the processor has vectors wide enough for this to be fast.</summary>
    internal static bool IsSupported => Vector256.IsHardwareAccelerated;

    /// <summary>Whether a weight has a shape that can be multiplied in 8 bits.</summary>
    internal static bool Suits(Tensor weight) =>
        weight.shape[1] % Vector256<byte>.Count == 0 && weight.shape[0] % WeightTile == 0 && weight.numel() < int.MaxValue;

    /// <summary>x Wᵀ, up to rounding.</summary>
    /// <param name="input">[rows, in] on the CPU, any float type, at most <see cref="MaxRows"/> rows. Borrowed.</param>
    /// <returns>[rows, out] float32. Owned by the caller's scope.</returns>
    internal Tensor Multiply(Tensor input)
    {
        using var scope = TensorScope.BeginNoGrad();
        int rows = (int)input.shape[0];
        int padded = (rows + InputTile - 1) / InputTile * InputTile;
        Tensor host = input.to(ScalarType.Float32).contiguous();
        byte[] bytes = ArrayPool<byte>.Shared.Rent(padded * _width);
        float[] scales = ArrayPool<float>.Shared.Rent(padded);
        try
        {
            for (int row = 0; row < padded; row++)
            {
                Span<byte> line = bytes.AsSpan(row * _width, _width);
                scales[row] = row < rows ? Round(Floats(host).Slice(row * _width, _width), line) : Clear(line);
            }

            Tensor result = empty([padded, _outputs], ScalarType.Float32);
            RowBlocks.ForEach(_outputs, (long)padded * _width * _outputs / 4, (from, to) => Multiply(bytes, scales, padded, Floats(result), from, to));
            return scope.Keep(padded == rows ? result : result.narrow(0, 0, rows));
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(bytes);
            ArrayPool<float>.Shared.Return(scales);
        }
    }

    public void Dispose() => _values.Dispose();

    private static Span<float> Floats(Tensor tensor) => MemoryMarshal.Cast<byte, float>(tensor.bytes);

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
            return scale * 0; // NaN where the row holds NaN or ∞, so that the logits say it
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

    // Adding 1.5 · 2²³ rounds to the nearest integer, which then stands in the low bits of the float.
    private static Vector256<int> Integers(ReadOnlySpan<float> values, Vector256<float> inverse) =>
        ((Vector256.Create(values) * inverse) + Vector256.Create(12582912f)).AsInt32();

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Multiply(byte[] input, float[] inputScales, int rows, Span<float> result, int from, int to)
    {
        ReadOnlySpan<sbyte> weight = MemoryMarshal.Cast<byte, sbyte>(_values.bytes);
        Span<int> sums = stackalloc int[InputTile * WeightTile];
        for (int output = from; output < to; output += WeightTile)
        {
            for (int row = 0; row < rows; row += InputTile)
            {
                MultiplyTile(ref input[row * _width], ref Unsafe.AsRef(in weight[output * _width]), (nuint)_width, sums);
                for (int i = 0; i < sums.Length; i++)
                {
                    (int x, int w) = (row + (i / WeightTile), output + (i % WeightTile));
                    result[(x * _outputs) + w] = (sums[i] - (Zero * _sums[w])) * (inputScales[x] * _scales[w]);
                }
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void MultiplyTile(ref byte x, ref sbyte w, nuint width, Span<int> sums)
    {
        ref byte x1 = ref Unsafe.Add(ref x, width);
        ref byte x2 = ref Unsafe.Add(ref x1, width);
        ref byte x3 = ref Unsafe.Add(ref x2, width);
        ref sbyte w1 = ref Unsafe.Add(ref w, width);
        Vector256<int> s00 = default, s01 = default, s10 = default, s11 = default, s20 = default, s21 = default, s30 = default, s31 = default;
        for (nuint k = 0; k < width; k += (nuint)Vector256<byte>.Count)
        {
            Vector256<sbyte> a = Vector256.LoadUnsafe(ref w, k), b = Vector256.LoadUnsafe(ref w1, k);
            Vector256<byte> v = Vector256.LoadUnsafe(ref x, k);
            s00 = Accumulate(s00, v, a);
            s01 = Accumulate(s01, v, b);
            v = Vector256.LoadUnsafe(ref x1, k);
            s10 = Accumulate(s10, v, a);
            s11 = Accumulate(s11, v, b);
            v = Vector256.LoadUnsafe(ref x2, k);
            s20 = Accumulate(s20, v, a);
            s21 = Accumulate(s21, v, b);
            v = Vector256.LoadUnsafe(ref x3, k);
            s30 = Accumulate(s30, v, a);
            s31 = Accumulate(s31, v, b);
        }

        (sums[0], sums[1], sums[2], sums[3]) = (Vector256.Sum(s00), Vector256.Sum(s01), Vector256.Sum(s10), Vector256.Sum(s11));
        (sums[4], sums[5], sums[6], sums[7]) = (Vector256.Sum(s20), Vector256.Sum(s21), Vector256.Sum(s30), Vector256.Sum(s31));
    }

    /// <summary>Adds the products of four neighbours each; one instruction where the processor has it.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static Vector256<int> Accumulate(Vector256<int> sum, Vector256<byte> x, Vector256<sbyte> w)
    {
        if (AvxVnni.IsSupported)
        {
            return AvxVnni.MultiplyWideningAndAdd(sum, x, w);
        }

        (Vector256<ushort> xLow, Vector256<ushort> xHigh) = Vector256.Widen(x);
        (Vector256<short> wLow, Vector256<short> wHigh) = Vector256.Widen(w);
        return sum + Products(xLow.AsInt16(), wLow) + Products(xHigh.AsInt16(), wHigh);
    }

    private static Vector256<int> Products(Vector256<short> x, Vector256<short> w)
    {
        if (Avx2.IsSupported)
        {
            return Avx2.MultiplyAddAdjacent(x, w);
        }

        (Vector256<int> xLow, Vector256<int> xHigh) = Vector256.Widen(x);
        (Vector256<int> wLow, Vector256<int> wHigh) = Vector256.Widen(w);
        return (xLow * wLow) + (xHigh * wHigh);
    }
}
