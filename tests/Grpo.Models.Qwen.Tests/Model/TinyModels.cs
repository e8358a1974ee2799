using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Decoding;
using Grpo.Models.Qwen.Model;

namespace Grpo.Models.Qwen.Tests;

/// <summary>Models small enough for a unit test, with uneven sizes so that a swapped axis shows.</summary>
internal static class TinyModels
{
    public static DecoderConfig Config(bool tied = true) => new()
    {
        VocabularySize = 37,
        HiddenSize = 24,
        IntermediateSize = 40,
        LayerCount = 2,
        AttentionHeadCount = 6,
        KeyValueHeadCount = 2,
        RopeTheta = 1e6,
        TieWordEmbeddings = tied,
        InitializerRange = 0.3,
    };

    /// <summary>
    /// A shape that <see cref="CpuDecoder"/> decodes, where the processor has the vectors: three query heads of width 32 a key head.
    /// </summary>
    public static DecoderConfig CpuConfig(bool tied = true) => Config(tied) with
    {
        VocabularySize = 40,
        HiddenSize = 192,
        IntermediateSize = 96,
        InitializerRange = 0.1,
    };

    public static CausalLM Create(bool tied = true, ulong seed = 7) => CausalLM.Initialize(Config(tied), seed);
}

/// <summary>Tests that count live tensors run while no other test does.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class LiveTensors
{
    public const string Name = nameof(LiveTensors);

    /// <summary>
    /// Runs the action twice to warm up (the first pass makes gradients, the second finds them), then twice more.
    /// Returns by how much the number of live tensors grew.
    /// </summary>
    internal static long GrowthOf(Action action)
    {
        action();
        action();
        for (int generation = 0; generation < 3; generation++)
        {
            // What earlier tests left to finalizers must not be counted as freed by this one.
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        long before = TorchSharp.torch.Tensor.TotalCount;
        action();
        action();
        return TorchSharp.torch.Tensor.TotalCount - before;
    }
}
