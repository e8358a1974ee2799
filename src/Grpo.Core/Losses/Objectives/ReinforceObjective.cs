using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>The REINFORCE objective, also called GPG: the plain policy gradient without ratio and trust region.</summary>
/// <remarks>
/// ℓ = −A·log π, off-policy ℓ = −sg(w)·A·log π. Williams 1992; GPG, arXiv:2504.02546. The weight has no gradient, since it would add
/// w·log π·∇log π, which is no part of the policy gradient.
/// </remarks>
public sealed record ReinforceObjective : PolicyObjective
{
    /// <inheritdoc/>
    public override string Name => "REINFORCE";

    /// <summary>True to weight each token by its ratio, unbounded. Otherwise only the first update on a rollout is unbiased.</summary>
    /// <value>Default false: each rollout is used for one update.</value>
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
        return scope.Keep(
            WeightedLogProbs.PerToken(inputs, ImportanceWeighted ? ImportanceRatio.Log(inputs, RatioLevel.Token).exp() : null));
    }
}
