using TorchSharp;

namespace Grpo.Planning;

/// <summary>The largest passes of a run, as far as they decide how much memory it needs.</summary>
public sealed record MemorySizes
{
    /// <summary>Prompts that a rollout runs together at its beginning, N.</summary>
    public required long DecodedPrompts { get; init; }

    /// <summary>Sequences that are decoded at a time, B: as many have a place in the key/value cache.</summary>
    public required long DecodedSequences { get; init; }

    /// <summary>Tokens of the longest prompt, P.</summary>
    public required long PromptLength { get; init; }

    /// <summary>Tokens of the longest completion, C.</summary>
    public required long CompletionLength { get; init; }

    /// <summary>Distinct prompts of a micro-batch, N.</summary>
    public required long MicroBatchPrompts { get; init; }

    /// <summary>Sequences of a micro-batch, B.</summary>
    public required long MicroBatchSequences { get; init; }

    /// <summary>Whether the sequences of a prompt compute it once.</summary>
    public bool SharesPrompts { get; init; }

    /// <summary>Whether the optimizer step has other micro-batches, whose gradients are there already.</summary>
    public bool HasOtherMicroBatches { get; init; }

    /// <summary>Whether a reference model is run.</summary>
    public bool WithReference { get; init; }

    /// <summary>Where AdamW's moments are kept and in how many bits.</summary>
    public OptimizerMoments Moments { get; init; }

    /// <summary>Whether the loss needs the entropy of each token's distribution.</summary>
    public bool WithEntropies { get; init; }

    /// <summary>Where the model is.</summary>
    public DeviceType Device { get; init; }

    /// <summary>Places of a sequence in the key/value cache: the last token is never fed back.</summary>
    public long CachedLength => PromptLength + CompletionLength - 1;
}
