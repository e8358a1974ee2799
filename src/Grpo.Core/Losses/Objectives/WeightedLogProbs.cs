using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>Computes the plain policy-gradient loss with weights that have no gradient.</summary>
internal static class WeightedLogProbs
{
    /// <summary>Computes ℓ = −sg(weight)·A·log π. The weights are [B, C], [B, 1], or null for 1.</summary>
    public static Tensor PerToken(ObjectiveInputs inputs, Tensor? weights)
    {
        using var scope = TensorScope.Begin();
        Tensor advantages = inputs.Advantages.unsqueeze(1);                                         // [B, 1]  ([B] would broadcast along C)
        Tensor factors = weights is null ? advantages : weights.detach() * advantages;
        return scope.Keep(-(factors * inputs.LogProbs));                                            // [B, C]
    }
}
