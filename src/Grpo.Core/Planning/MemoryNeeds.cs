using Grpo.Optimization;

namespace Grpo.Planning;

/// <summary>What a model needs for passes of given sizes, in bytes unless it says otherwise.</summary>
public sealed record MemoryNeeds
{
    /// <summary>All weights, frozen and trained.</summary>
    public required long Weights { get; init; }

    /// <summary>Numbers that are trained: each has a float32 gradient in the update and two moments always.</summary>
    public required long TrainedParameters { get; init; }

    /// <summary>The reference model's weights; 0 when they are the policy's own.</summary>
    public required long Reference { get; init; }

    /// <summary>Keys and values of the sequences that are decoded at a time.</summary>
    public required long Cache { get; init; }

    /// <summary>The most that a rollout's passes hold at a time besides the cache: hidden states, logits, and weights that are rounded for decoding.</summary>
    public required long Decoding { get; init; }

    /// <summary>What the forward pass of a micro-batch keeps for its backward pass.</summary>
    public required long Activations { get; init; }

    /// <summary>The output layer's logits while log-probs are computed.</summary>
    public required long Logits { get; init; }

    /// <summary>
    /// The most that forward and backward pass of a micro-batch hold at a time beside the weights: activations, logits, temporaries and gradients
    /// together. Less than their sum, since gradients arrive as activations go.
    /// </summary>
    public required long Training { get; init; }

    /// <summary>
    /// Of <see cref="Training"/>, what is in blocks of less than <see cref="MemoryPlanner.LargeBlock"/>: a CPU's allocator cuts them from a heap
    /// that keeps gaps.
    /// </summary>
    public required long SmallBlocks { get; init; }

    /// <summary>The most that the reference model's pass over a micro-batch holds at a time; 0 without one.</summary>
    public required long Scoring { get; init; }
}
