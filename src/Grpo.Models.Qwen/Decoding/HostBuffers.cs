using Grpo.Callbacks;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>What a decoding step of some rows holds between its products, in one piece of main memory.</summary>
internal sealed unsafe class HostBuffers : IDisposable
{
    private readonly Tensor _memory;

    /// <param name="config">The model.</param>
    /// <param name="rows">That there is room for.</param>
    internal HostBuffers(Qwen2Config config, int rows)
    {
        int hidden = config.HiddenSize;
        int queries = config.AttentionHeadCount * config.HeadWidth, keys = config.KeyValueHeadCount * config.HeadWidth;
        using var scope = TensorScope.BeginNoGrad();
        _memory = zeros([rows * (long)((3 * hidden) + (2 * queries) + (2 * keys) + (2 * config.IntermediateSize))], ScalarType.Float32);
        float* next = HostMemory.Address(_memory);
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

    /// <summary>[rows, H]: what the layers add to.</summary>
    internal float* Hidden { get; }

    /// <summary>[rows, H]: the same, normalised.</summary>
    internal float* Normed { get; }

    /// <summary>[rows, H]: what attention or MLP add.</summary>
    internal float* Change { get; }

    /// <summary>[rows, A·D].</summary>
    internal float* Queries { get; }

    /// <summary>[rows, K·D].</summary>
    internal float* Keys { get; }

    /// <summary>[rows, K·D].</summary>
    internal float* Values { get; }

    /// <summary>[rows, A·D]: the values that the queries attend to.</summary>
    internal float* Mixed { get; }

    /// <summary>[rows, I]: the gate, then its product with what it gates.</summary>
    internal float* Gate { get; }

    /// <summary>[rows, I].</summary>
    internal float* Up { get; }

    public void Dispose() => _memory.Dispose();
}
