using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>A weight in 8 bits with one scale per row, which is multiplied by rows in 8 bits with one scale each (W8A8).</summary>
/// <remarks>
/// A product reads a quarter of float32's bytes. With x ≈ a·(u − z) in bytes u, where z is <see cref="Int8Kernel.Zero"/>, and W ≈ b·s in
/// signed bytes s, x·W = a·b·(Σ u·s − z·Σ s), where the last sum is precomputed. The sums are exact in 32 bits up to a width of 66,000.
/// </remarks>
internal sealed unsafe class Int8Weight : IDisposable
{
    /// <summary>
    /// The largest number of rows for a product in 8 bits. With more rows the arithmetic dominates, and a float32 product is as fast.
    /// </summary>
    internal const int MaxRows = 64;

    private const int Tile = Int8Kernel.Tile;
    private const int RowsPerPass = 4096;              // rounded at a time, to bound the temporaries

    private readonly Tensor _values;                   // [out, in] int8
    private readonly sbyte* _first;                    // the address of _values
    private readonly float[] _scales;                  // [out]
    private readonly int[] _offsets;                   // [out]: z · Σ s
    private readonly int _outputs;
    private readonly int _width;

    /// <param name="weight">The weight, [out, in] on the CPU, any float type. Borrowed.</param>
    internal Int8Weight(Tensor weight)
    {
        using var scope = TensorScope.BeginNoGrad();
        (_outputs, _width) = ((int)weight.shape[0], (int)weight.shape[1]);
        _scales = new float[_outputs];
        _offsets = new int[_outputs];
        _values = empty([_outputs, _width], ScalarType.Int8);
        _first = (sbyte*)CpuMemory.Bytes(_values);
        for (int row = 0; row < _outputs; row += RowsPerPass)
        {
            using var pass = TensorScope.BeginNoGrad();
            Tensor part = weight.narrow(0, row, Math.Min(RowsPerPass, _outputs - row)).to(ScalarType.Float32).contiguous();
            Round(CpuMemory.Address(part), row, (int)part.shape[0]);
        }

        scope.Release(_values);
    }

    /// <summary>True if the processor has wide enough vectors for this to be fast.</summary>
    internal static bool IsSupported => Int8Kernel.IsSupported;

    /// <summary>True if a weight has a shape that can be multiplied in 8 bits.</summary>
    internal static bool Suits(Tensor weight) =>
        weight.shape[1] % Int8Kernel.Lanes == 0 && weight.shape[0] % Tile == 0 && weight.numel() < int.MaxValue;

    /// <summary>Computes x Wᵀ in 8 bits.</summary>
    /// <param name="input">The rows x, [rows, in] on the CPU, any float type, at most <see cref="MaxRows"/> rows. Borrowed.</param>
    /// <returns>The result, [rows, out] float32. Owned by the caller's scope.</returns>
    internal Tensor Multiply(Tensor input)
    {
        using var scope = TensorScope.BeginNoGrad();
        int rows = (int)input.shape[0];
        int padded = SkinnyKernel.Padded(rows);
        Tensor values = input.to(ScalarType.Float32).contiguous();
        using var rounded = new Int8Rows(padded, _width);
        rounded.Round(CpuMemory.Address(values), rows, _width);
        Tensor result = empty([padded, _outputs], ScalarType.Float32);
        float* y = CpuMemory.Address(result);
        RowBlocks.ForEach(_outputs, (long)padded * _width * _outputs / 4, (from, to) => Multiply(rounded, padded, from, to, y));
        return scope.Keep(padded == rows ? result : result.narrow(0, 0, rows));
    }

    /// <summary>Computes some columns of x Wᵀ.</summary>
    /// <param name="input">The rows x, [rows, in].</param>
    /// <param name="rows">The number of rows: 1 or a multiple of 4.</param>
    /// <param name="from">The first row of W, a multiple of 4.</param>
    /// <param name="to">The end of the rows of W, exclusive, a multiple of 4.</param>
    /// <param name="result">The result, [rows, out].</param>
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
                int count = Math.Min(Tile, rows - row);
                Int8Kernel.Multiply(input.Row(row, _width), count, tile, next, _width, sums);
                next = tile; // prefetched by the first rows
                for (int i = 0; i < count; i++)
                {
                    (Vector128.ConvertToSingle(sums[i] - offsets) * (scales * input.Scale(row + i)))
                        .Store(result + ((long)(row + i) * _outputs) + output);
                }
            }
        }
    }

    public void Dispose() => _values.Dispose();

    private void Round(float* values, int first, int count) => RowBlocks.ForEach(count, (long)count * _width, (from, to) =>
    {
        for (int row = from; row < to; row++)
        {
            var bytes = new Span<byte>(_first + ((long)(first + row) * _width), _width);
            _scales[first + row] = Int8Rounding.Round(new ReadOnlySpan<float>(values + ((long)row * _width), _width), zero: 0, bytes);
            _offsets[first + row] = Int8Kernel.Zero == 0 ? 0 : Int8Kernel.Zero * Sum(MemoryMarshal.Cast<byte, sbyte>(bytes));
        }
    });

    private static int Sum(ReadOnlySpan<sbyte> values)
    {
        Vector256<short> sums = default;               // up to 128 pairs of numbers within ±127
        int sum = 0, vectors = 0;
        for (int i = 0; i < values.Length; i += Vector256<sbyte>.Count)
        {
            (Vector256<short> low, Vector256<short> high) = Vector256.Widen(Vector256.Create(values[i..]));
            sums += low + high;
            if (++vectors % 128 == 0 || i + Vector256<sbyte>.Count == values.Length)
            {
                (Vector256<int> lower, Vector256<int> upper) = Vector256.Widen(sums);
                sum += Vector256.Sum(lower + upper);
                sums = default;
            }
        }

        return sum;
    }
}

/// <summary>A snapshot of a model's projection weights in 8 bits, for decoding.</summary>
internal sealed class Int8Weights : IDisposable
{
    private readonly Dictionary<IntPtr, Int8Weight> _weights = [];

    /// <param name="weights">
    /// The weights, each once, on the CPU. Borrowed for the call. Weights of an unsuitable shape are left out.
    /// </param>
    internal Int8Weights(IEnumerable<Tensor> weights)
    {
        try
        {
            foreach (Tensor weight in weights.Where(Int8Weight.Suits))
            {
                _weights.Add(weight.Handle, new Int8Weight(weight));
            }
        }
        catch
        {
            Dispose(); // out of memory: free the weights so far
            throw;
        }
    }

    /// <summary>Finds a weight in 8 bits. Returns null if its shape is unsuitable or the number of rows too large for a gain.</summary>
    /// <param name="weight">The weight of the model.</param>
    /// <param name="rows">The number of rows to multiply.</param>
    internal Int8Weight? Find(Tensor weight, long rows) => rows <= Int8Weight.MaxRows ? _weights.GetValueOrDefault(weight.Handle) : null;

    public void Dispose()
    {
        foreach (Int8Weight weight in _weights.Values)
        {
            weight.Dispose();
        }
    }
}
