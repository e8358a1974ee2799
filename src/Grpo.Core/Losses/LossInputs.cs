using Grpo.Optimization;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>The tensors of one micro-batch's loss. Borrowed.</summary>
/// <param name="LogProbs">log π, nats. [B, C] float32, with gradient.</param>
/// <param name="OldLogProbs">log π_old, nats. [B, C] float32; null when the tokens come from the policy as it is (then w = 1, with gradient).</param>
/// <param name="ReferenceLogProbs">log π_ref, nats. [B, C] float32; null without a KL term.</param>
/// <param name="Advantages">A, [B] float32.</param>
/// <param name="Mask">m, [B, C] float32: 1 for a real completion token.</param>
public sealed record LossInputs(Tensor LogProbs, Tensor? OldLogProbs, Tensor? ReferenceLogProbs, Tensor Advantages, Tensor Mask)
{
    /// <summary>Entropy of the distribution that each token was drawn from, nats. [B, C] float32, with gradient; null without an entropy bonus.</summary>
    public Tensor? Entropies { get; init; }

    /// <summary>The log-probs that the sampler recorded, nats. [B, C] float32, NaN where none was; null without sampler correction.</summary>
    public Tensor? SamplerLogProbs { get; init; }
}
