using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>A micro-batch's loss and what it counted. The tensors belong to the caller's scope.</summary>
/// <param name="Loss">The share of the step's loss, scalar float32, differentiable.</param>
/// <param name="Sums">[4] float32 without gradient, over real tokens: KL, lower clips (w &lt; 1 − ε_low, A &lt; 0), upper clips (w &gt; 1 + ε_high, A &gt; 0), ratios.</param>
public readonly record struct LossResult(Tensor Loss, Tensor Sums);
