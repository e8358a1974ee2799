using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>What a policy's distribution says at each token. The tensors belong to the caller's scope.</summary>
/// <param name="LogProbs">log π of the tokens, nats, float32.</param>
/// <param name="Entropies">Entropy of the distribution that each token was drawn from, at the same temperature, nats, float32, same shape.</param>
public readonly record struct TokenStatistics(Tensor LogProbs, Tensor Entropies);
