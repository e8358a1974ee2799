using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>What a policy objective sees of a micro-batch. Log-probs are 0 where the mask is 0, so that padding cannot matter. Borrowed.</summary>
/// <param name="LogProbs">log π of the sampled tokens, nats. [B, C] float32, with gradient.</param>
/// <param name="OldLogProbs">log π_old of the same tokens, nats. [B, C] float32, no gradient; on-policy the detached log-probs.</param>
/// <param name="Advantages">A, one per sequence. [B] float32.</param>
/// <param name="Mask">m, [B, C] float32: 1 for a real completion token.</param>
public sealed record ObjectiveInputs(Tensor LogProbs, Tensor OldLogProbs, Tensor Advantages, Tensor Mask);
