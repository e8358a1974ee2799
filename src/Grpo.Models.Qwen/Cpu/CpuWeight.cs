using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>A weight in main memory by which a decoding step multiplies, in float32 or in 8 bits.</summary>
internal sealed unsafe class CpuWeight
{
    private readonly float* _values;
    private readonly Int8Weight? _int8;

    /// <param name="weight">
    /// The weight, [out, in], for which <see cref="SkinnyLinear.Suits(Tensor)"/> is true. Borrowed for the lifetime of this object.
    /// </param>
    /// <param name="int8">The weights in 8 bits; null means float32 only.</param>
    internal CpuWeight(Tensor weight, Int8Weights? int8)
    {
        _values = CpuMemory.Address(weight);
        _int8 = int8?.Find(weight, rows: 1);
        (Outputs, Width) = ((int)weight.shape[0], (int)weight.shape[1]);
    }

    internal int Outputs { get; }

    internal int Width { get; }

    /// <summary>Computes some columns of x Wᵀ.</summary>
    /// <param name="input">The rows x, [rows, in].</param>
    /// <param name="rounded">The rows in 8 bits; null multiplies in float32.</param>
    /// <param name="rows">The number of rows: 1 or a multiple of 4.</param>
    /// <param name="from">The first row of W, a multiple of 4.</param>
    /// <param name="to">The end of the rows of W, exclusive, a multiple of 4.</param>
    /// <param name="output">The result, [rows, out].</param>
    /// <typeparam name="T">The vectors of the processor.</typeparam>
    internal void Multiply<T>(float* input, Int8Rows? rounded, int rows, int from, int to, float* output)
        where T : unmanaged, IFloats<T>
    {
        if (rounded is not null && _int8 is not null)
        {
            _int8.Multiply(rounded, rows, from, to, output);
        }
        else
        {
            SkinnyKernel.Multiply<T>(input, rows, _values, Width, from, to, output, Outputs);
        }
    }
}

/// <summary>A range of rows of one of several weights: the unit of work of a thread.</summary>
/// <param name="Weight">The index of the weight.</param>
/// <param name="From">The first row.</param>
/// <param name="To">The end of the rows, exclusive.</param>
internal readonly record struct CpuPart(int Weight, int From, int To)
{
    private const long MinNumbers = 1 << 14;           // some microseconds
    private const long MaxNumbers = 1 << 17;           // the other threads wait for the last part of a product

    /// <summary>Cuts all rows of some weights into parts that begin at multiples of 16.</summary>
    /// <param name="threads">The number of threads. There are enough parts of each weight to balance their load.</param>
    /// <param name="weights">The weights.</param>
    internal static CpuPart[] Cut(int threads, params IReadOnlyList<CpuWeight> weights)
    {
        int most = Math.Max(32, 4 * threads);
        var parts = new List<CpuPart>();
        for (int i = 0; i < weights.Count; i++)
        {
            int outputs = weights[i].Outputs;
            long numbers = (long)outputs * weights[i].Width;
            long count = Math.Clamp(numbers / MinNumbers, 1, Math.Max(most, numbers / MaxNumbers));
            int step = (int)((((outputs + count - 1) / count) + SkinnyKernel.Lanes - 1) / SkinnyKernel.Lanes * SkinnyKernel.Lanes);
            for (int from = 0; from < outputs; from += step)
            {
                parts.Add(new CpuPart(i, from, Math.Min(outputs, from + step)));
            }
        }

        return [.. parts];
    }
}
