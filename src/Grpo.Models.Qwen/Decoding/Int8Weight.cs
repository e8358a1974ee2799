using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Grpo.Tensors;
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
internal sealed unsafe class Int8Weight : IDisposable
{
    /// <summary>With more rows the arithmetic dominates, and a general float32 product is as fast.</summary>
    internal const int MaxRows = 64;

    private const int Tile = Int8Kernel.Tile;
    private const int RowsPerPass = 4096;              // of the weight while it is rounded: bounds the temporaries

    private readonly Tensor _values;                   // [out, in] int8
    private readonly sbyte* _first;                    // where they are
    private readonly float[] _scales;                  // [out]
    private readonly int[] _offsets;                   // [out]: 128 · Σ s
    private readonly int _outputs;
    private readonly int _width;

    /// <param name="weight">[out, in] on the CPU, any float type. Borrowed.</param>
    internal Int8Weight(Tensor weight)
    {
        using var scope = TensorScope.BeginNoGrad();
        (_outputs, _width) = ((int)weight.shape[0], (int)weight.shape[1]);
        _scales = new float[_outputs];
        _offsets = new int[_outputs];
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
            rounded.sum(1).mul_(Int8Rows.Zero).to(ScalarType.Int32).data<int>().ToArray().CopyTo(_offsets, row);
        }

        _first = (sbyte*)HostMemory.Bytes(_values);
        scope.Release(_values);
    }

    /// <summary>Whether the processor has vectors wide enough for this to be fast.</summary>
    internal static bool IsSupported => Int8Kernel.IsSupported;

    /// <summary>Whether a weight has a shape that can be multiplied in 8 bits.</summary>
    internal static bool Suits(Tensor weight) =>
        weight.shape[1] % Int8Kernel.Lanes == 0 && weight.shape[0] % Tile == 0 && weight.numel() < int.MaxValue;

    /// <summary>Rows that have to be there for so many.</summary>
    internal static int Padded(int rows) => (rows + Tile - 1) / Tile * Tile;

    /// <summary>x Wᵀ, up to rounding.</summary>
    /// <param name="input">[rows, in] on the CPU, any float type, at most <see cref="MaxRows"/> rows. Borrowed.</param>
    /// <returns>[rows, out] float32. Owned by the caller's scope.</returns>
    internal Tensor Multiply(Tensor input)
    {
        using var scope = TensorScope.BeginNoGrad();
        int rows = (int)input.shape[0];
        int padded = Padded(rows);
        Tensor host = input.to(ScalarType.Float32).contiguous();
        using var rounded = new Int8Rows(padded, _width);
        rounded.Round(HostMemory.Address(host), rows, _width);
        Tensor result = empty([padded, _outputs], ScalarType.Float32);
        float* y = HostMemory.Address(result);
        RowBlocks.ForEach(_outputs, (long)padded * _width * _outputs / 4, (from, to) => Multiply(rounded, padded, from, to, y));
        return scope.Keep(padded == rows ? result : result.narrow(0, 0, rows));
    }

    /// <summary>Some columns of x Wᵀ.</summary>
    /// <param name="input">[rows, in].</param>
    /// <param name="rows">A multiple of 4.</param>
    /// <param name="from">First row of W, like <paramref name="to"/> a multiple of 4.</param>
    /// <param name="to">Behind the last.</param>
    /// <param name="result">[rows, out].</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    internal void Multiply(Int8Rows input, int rows, int from, int to, float* result)
    {
        Vector128<int>* sums = stackalloc Vector128<int>[Tile];
        for (int output = from; output < to; output += Tile)
        {
            Vector128<float> scales = Vector128.Create(_scales, output);
            Vector128<int> offsets = Vector128.Create(_offsets, output);
            sbyte* tile = _first + ((long)output * _width);
            sbyte* next = tile + (Tile * (long)_width);
            for (int row = 0; row < rows; row += Tile)
            {
                Int8Kernel.Multiply(input.Row(row, _width), tile, next, _width, sums);
                next = tile; // it is on its way already
                for (int i = 0; i < Tile; i++)
                {
                    (Vector128.ConvertToSingle(sums[i] - offsets) * (scales * input.Scale(row + i))).Store(result + ((long)(row + i) * _outputs) + output);
                }
            }
        }
    }

    public void Dispose() => _values.Dispose();
}
