using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Cpu;

/// <summary>The weights of a model as they are now, in 8 bits, for decoding. Adapters and everything but the projections stay as they are.</summary>
internal sealed class Int8Weights : IDisposable
{
    private readonly Dictionary<IntPtr, Int8Weight> _weights = [];

    /// <param name="weights">The weights, each once, on the CPU. Borrowed for the call; those of another shape are left out.</param>
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
            Dispose(); // out of memory half way
            throw;
        }
    }

    /// <summary>The weight in 8 bits; null where its shape does not allow that, or for more rows than it is faster for.</summary>
    /// <param name="weight">Of the model.</param>
    /// <param name="rows">Rows that are to be multiplied.</param>
    internal Int8Weight? Find(Tensor weight, long rows) => rows <= Int8Weight.MaxRows ? _weights.GetValueOrDefault(weight.Handle) : null;

    public void Dispose()
    {
        foreach (Int8Weight weight in _weights.Values)
        {
            weight.Dispose();
        }
    }
}
