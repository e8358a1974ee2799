using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>REINFORCE, or GPG: the plain policy gradient, with no ratio and no trust region.</summary>
/// <remarks>
/// ℓ = −A·log π, off-policy ℓ = −sg(w)·A·log π. Williams 1992; GPG, arXiv:2504.02546. The weight carries no gradient: as a factor
/// with one, it would add w·log π·∇log π, which is no part of the policy gradient.
/// </remarks>
public sealed record ReinforceObjective : PolicyObjective
{
    /// <inheritdoc/>
    public override string Name => "REINFORCE";

    /// <summary>Weighs each token by its ratio, unbounded. Without it, the second update on the same rollouts is biased.</summary>
    /// <value>Default false: rollouts are used once.</value>
    public bool ImportanceWeighted { get; init; }

    /// <inheritdoc/>
    public override bool AllowsForOldSamples => ImportanceWeighted;

    /// <inheritdoc/>
    public override bool IsPerToken => true;

    /// <inheritdoc/>
    public override Tensor PerToken(ObjectiveInputs inputs)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        ImportanceRatio.Require(inputs);
        using var scope = TensorScope.Begin();
        return scope.Keep(WeightedLogProbs.PerToken(inputs, ImportanceWeighted ? ImportanceRatio.Log(inputs, RatioLevel.Token).exp() : null));
    }
}
