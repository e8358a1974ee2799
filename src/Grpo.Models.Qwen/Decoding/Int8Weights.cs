using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>The weights of a model as they are now, in 8 bits, for decoding. Adapters and everything but the projections stay as they are.</summary>
internal sealed class Int8Weights : IDisposable
{
    private readonly Dictionary<IntPtr, Int8Weight> _weights = [];

    /// <param name="model">On the CPU. Borrowed for the call.</param>
    internal Int8Weights(Qwen2ForCausalLM model)
    {
        IEnumerable<Tensor> projections = model.named_modules()
            .Where(named => named.module is Projection && !LoraAdapter.IsParameter($"{named.name}.weight"))
            .Select(named => ((Projection)named.module).Weight);
        try
        {
            foreach (Tensor weight in projections.Append(model.HeadWeight).DistinctBy(weight => weight.Handle).Where(Int8Weight.Suits))
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
