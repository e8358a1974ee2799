using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>A weight in main memory that a decoding step multiplies by, as it is or in 8 bits.</summary>
internal sealed unsafe class HostWeight
{
    private readonly float* _values;
    private readonly Int8Weight? _int8;

    /// <param name="weight">[out, in], one that <see cref="SkinnyLinear.Suits(Tensor)"/>. Borrowed while this lives.</param>
    /// <param name="int8">Where it is in 8 bits; null: nowhere.</param>
    internal HostWeight(Tensor weight, Int8Weights? int8)
    {
        _values = HostMemory.Address(weight);
        _int8 = int8?.Find(weight, rows: 1);
        (Outputs, Width) = ((int)weight.shape[0], (int)weight.shape[1]);
    }

    internal int Outputs { get; }

    internal int Width { get; }

    /// <summary>Some columns of x Wᵀ.</summary>
    /// <param name="input">[rows, in].</param>
    /// <param name="rounded">The same in 8 bits; null when the weights are to be taken as they are.</param>
    /// <param name="rows">1, or a multiple of 4.</param>
    /// <param name="from">First row of W, like <paramref name="to"/> a multiple of 4.</param>
    /// <param name="to">Behind the last.</param>
    /// <param name="output">[rows, out].</param>
    internal void Multiply(float* input, Int8Rows? rounded, int rows, int from, int to, float* output)
    {
        if (rounded is not null && _int8 is not null)
        {
            _int8.Multiply(rounded, Int8Weight.Padded(rows), from, to, output);
        }
        else
        {
            SkinnyKernel.Multiply(input, rows, _values, Width, from, to, output, Outputs);
        }
    }
}
