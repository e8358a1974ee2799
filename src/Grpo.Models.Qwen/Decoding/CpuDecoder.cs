using System.Runtime.Intrinsics;
using Grpo.Models.Qwen.Cpu;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Decoding;

/// <summary>The decoding step of a float32 model on a CPU, in kernels over fixed memory instead of one tensor per operation.</summary>
/// <remarks>
/// It computes the same as the modules. A step of a few rows is bound by reading the weights. Torch operations, some microseconds each,
/// would add a sixth to it, and much more for a small model.
/// </remarks>
internal abstract class CpuDecoder : IDisposable
{
    /// <summary>
    /// Creates a decoder for a session. Returns null if only the modules can decode: with an adapter, an unsuitable shape
    /// or an older processor.
    /// </summary>
    /// <param name="model">The model. Borrowed; its weights must not change while the decoder lives.</param>
    /// <param name="cache">The cache. Borrowed.</param>
    /// <param name="int8">The model's weights in 8 bits, or null. Borrowed.</param>
    internal static CpuDecoder? TryCreate(CausalLM model, KeyValueCache cache, Int8Weights? int8)
    {
        if (!Suits(model, cache))
        {
            return null;
        }

        return Vector512.IsHardwareAccelerated ? new VectorDecoder<Floats512>(model, cache, int8)
            : Vector256.IsHardwareAccelerated ? new VectorDecoder<Floats256>(model, cache, int8)
            : new VectorDecoder<Floats128>(model, cache, int8);
    }

    /// <summary>
    /// True if the decoder is the fastest way for a number of rows. With more rows the arithmetic dominates, and general
    /// products are as fast.
    /// </summary>
    internal abstract bool CanDecode(int rows);

    /// <summary>Runs one new token of every row and writes its keys and values. The cache does not count them yet.</summary>
    /// <param name="tokenIds">The token of each row of the cache, below V.</param>
    /// <returns>The logits, [B, V] float32. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">A token id is not below the vocabulary size.</exception>
    /// <exception cref="InvalidOperationException">The model was disposed or moved.</exception>
    internal abstract Tensor Advance(ReadOnlySpan<long> tokenIds);

    public abstract void Dispose();

    private protected static Dictionary<string, Parameter> Weights(CausalLM model) =>
        model.BaseParameters().ToDictionary(named => named.Name, named => named.Parameter, StringComparer.Ordinal);

    private static bool Suits(CausalLM model, KeyValueCache cache)
    {
        using var scope = TensorScope.BeginNoGrad();
        return ModelKernels.Of(model).Obstacle is null
            && CpuMemory.Suits(cache.Layer(0).Keys)
            && Weights(model).Values.Append(model.HeadWeight).All(CpuMemory.Suits);
    }
}
