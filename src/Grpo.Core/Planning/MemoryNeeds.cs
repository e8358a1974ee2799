using Grpo.Optimization;

namespace Grpo.Planning;

/// <summary>The memory that a model needs for passes of given sizes, in bytes unless a member says otherwise.</summary>
public sealed record MemoryNeeds
{
    /// <summary>The bytes of all weights, frozen and trained.</summary>
    public required long Weights { get; init; }

    /// <summary>The number of trained parameters. Each has a float32 gradient during an update, and two moments at all times.</summary>
    public required long TrainedParameters { get; init; }

    /// <summary>The bytes of the reference model's weights; 0 if it uses the policy's own.</summary>
    public required long Reference { get; init; }

    /// <summary>The bytes of the key/value cache of all sequences that are decoded at a time.</summary>
    public required long Cache { get; init; }

    /// <summary>The peak bytes of a rollout's passes besides the cache: hidden states, logits, and weights rounded for decoding.</summary>
    public required long Decoding { get; init; }

    /// <summary>The bytes that the forward pass of a micro-batch keeps for its backward pass.</summary>
    public required long Activations { get; init; }

    /// <summary>The bytes of the output layer's logits while log-probs are computed.</summary>
    public required long Logits { get; init; }

    /// <summary>
    /// The peak bytes of a micro-batch's forward and backward pass besides the weights: activations, logits, temporaries and gradients. It
    /// is less than their sum, since activations are freed while gradients appear.
    /// </summary>
    public required long Training { get; init; }

    /// <summary>
    /// The part of <see cref="Training"/> that is in blocks of less than <see cref="MemoryPlanner.LargeBlock"/> bytes. On a CPU the
    /// allocator takes them from a heap that keeps gaps.
    /// </summary>
    public required long SmallBlocks { get; init; }

    /// <summary>The peak bytes of the reference model's pass over a micro-batch; 0 without a reference model.</summary>
    public required long Scoring { get; init; }
}
