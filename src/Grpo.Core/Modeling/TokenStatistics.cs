using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>The log-probs of tokens and the entropies of their distributions. The tensors belong to the caller's scope.</summary>
/// <param name="LogProbs">The log-probs log π of the tokens in nats, float32.</param>
/// <param name="Entropies">The entropies of the policy's distribution at each token in nats, float32, of equal shape.</param>
public readonly record struct TokenStatistics(Tensor LogProbs, Tensor Entropies);
