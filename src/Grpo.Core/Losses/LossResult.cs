using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>A micro-batch's loss and what it counted. The tensors belong to the caller's scope.</summary>
/// <param name="Loss">The share of the step's loss, scalar float32, differentiable.</param>
/// <param name="KlSum">Sum of k3 over real tokens, scalar float32 without gradient; 0 without reference log-probs.</param>
/// <param name="ClipCounts">[B, 3] float32 without gradient, as <see cref="ClipMetrics.FromCounts"/> reads them; null when the objective has no trust region.</param>
public readonly record struct LossResult(Tensor Loss, Tensor KlSum, Tensor? ClipCounts);
