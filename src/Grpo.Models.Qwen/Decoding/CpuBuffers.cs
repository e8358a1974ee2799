using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Cpu;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Decoding;

/// <summary>The intermediate results of a decoding step, in one block of main memory.</summary>
internal sealed unsafe class CpuBuffers : IDisposable
{
    private readonly Tensor _memory;

    /// <param name="config">The configuration of the model.</param>
    /// <param name="rows">The number of rows to allocate.</param>
    internal CpuBuffers(DecoderConfig config, int rows)
    {
        int hidden = config.HiddenSize;
        int queries = config.AttentionHeadCount * config.HeadWidth, keys = config.KeyValueHeadCount * config.HeadWidth;
        using var scope = TensorScope.BeginNoGrad();
        _memory = zeros([rows * (long)((3 * hidden) + (2 * queries) + (2 * keys) + (2 * config.IntermediateSize))], ScalarType.Float32);
        float* next = CpuMemory.Address(_memory);
        Hidden = Take(hidden);
        Normed = Take(hidden);
        Change = Take(hidden);
        Queries = Take(queries);
        Keys = Take(keys);
        Values = Take(keys);
        Mixed = Take(queries);
        Gate = Take(config.IntermediateSize);
        Up = Take(config.IntermediateSize);
        scope.Release(_memory);

        float* Take(int width)
        {
            float* taken = next;
            next += (long)rows * width;
            return taken;
        }
    }

    /// <summary>The residual stream, [rows, H].</summary>
    internal float* Hidden { get; }

    /// <summary>The normalized residual stream, [rows, H].</summary>
    internal float* Normed { get; }

    /// <summary>The output of attention or MLP, which is added to the residual stream, [rows, H].</summary>
    internal float* Change { get; }

    /// <summary>The queries, [rows, A·D].</summary>
    internal float* Queries { get; }

    /// <summary>The keys, [rows, K·D].</summary>
    internal float* Keys { get; }

    /// <summary>The values, [rows, K·D].</summary>
    internal float* Values { get; }

    /// <summary>The weighted values of the attention, [rows, A·D].</summary>
    internal float* Mixed { get; }

    /// <summary>The gate of the MLP, then its product with the up projection, [rows, I].</summary>
    internal float* Gate { get; }

    /// <summary>The up projection of the MLP, [rows, I].</summary>
    internal float* Up { get; }

    public void Dispose() => _memory.Dispose();
}
