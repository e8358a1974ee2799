using TorchSharp;

namespace Grpo.Planning;

/// <summary>The sizes of a run's largest passes, which decide how much memory the run needs.</summary>
public sealed record MemorySizes
{
    /// <summary>The number of prompts that a rollout prefills together at its start, N.</summary>
    public required long DecodedPrompts { get; init; }

    /// <summary>The number of sequences that are decoded at a time, B. Each has a row in the key/value cache.</summary>
    public required long DecodedSequences { get; init; }

    /// <summary>The length of the longest prompt in tokens, P.</summary>
    public required long PromptLength { get; init; }

    /// <summary>The length of the longest completion in tokens, C.</summary>
    public required long CompletionLength { get; init; }

    /// <summary>The number of distinct prompts of a micro-batch, N.</summary>
    public required long MicroBatchPrompts { get; init; }

    /// <summary>The number of sequences of a micro-batch, B.</summary>
    public required long MicroBatchSequences { get; init; }

    /// <summary>True if a prompt is computed once for all its sequences.</summary>
    public bool SharesPrompts { get; init; }

    /// <summary>True if the optimizer step has several micro-batches, so that gradients of earlier ones are already in memory.</summary>
    public bool HasOtherMicroBatches { get; init; }

    /// <summary>True if a reference model scores the completions.</summary>
    public bool WithReference { get; init; }

    /// <summary>The place and precision of AdamW's moments.</summary>
    public OptimizerMoments Moments { get; init; }

    /// <summary>True if the loss needs the entropy of each token's distribution.</summary>
    public bool WithEntropies { get; init; }

    /// <summary>The type of the device that holds the model.</summary>
    public DeviceType Device { get; init; }

    /// <summary>The length of a sequence in the key/value cache: one less than its tokens, since the last one is never fed back.</summary>
    public long CachedLength => PromptLength + CompletionLength - 1;
}
