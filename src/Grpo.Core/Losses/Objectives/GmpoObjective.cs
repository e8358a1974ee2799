using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>The GMPO objective: the geometric mean of the tokens' ratios, each clipped in log space before the mean is taken.</summary>
/// <remarks>
/// d' = min(d, ε_high) for A &gt; 0, else max(d, −ε_low); ℓ = −exp(Σ m·d'/n)·A for every token. arXiv:2507.20673.
/// A single outlier cannot dominate the mean, while GSPO clips the mean itself.
/// </remarks>
public sealed record GmpoObjective : PolicyObjective
{
    /// <inheritdoc/>
    public override string Name => "GMPO";

    /// <summary>The lower bound ε_low in nats: the ratio of a token with negative advantage counts as at least e^−ε_low.</summary>
    /// <value>Above 0, to 10; default 0.4, the paper's.</value>
    public double Low { get; init; } = 0.4;

    /// <summary>The upper bound ε_high in nats: the ratio of a token with positive advantage counts as at most e^ε_high.</summary>
    /// <value>Above 0, to 10; default 0.4, the paper's.</value>
    public double High { get; init; } = 0.4;

    /// <inheritdoc/>
    /// <value>Sequence mean and sequence sum, since the loss is one number per completion.</value>
    public override IReadOnlySet<LossReduction> Reductions => SequenceLevel.Reductions;

    /// <inheritdoc/>
    public override Tensor PerToken(ObjectiveInputs inputs)
    {
        using var scope = TensorScope.Begin();
        Tensor difference = ImportanceRatio.Log(inputs, RatioLevel.Token);                          // [B, C]
        Tensor advantages = inputs.Advantages.unsqueeze(1);                                         // [B, 1]
        Tensor clipped = torch.where(advantages.gt(0), difference.clamp_max(High), difference.clamp_min(-Low));
        Tensor perSequence = -(ImportanceRatio.MeanOverTokens(clipped, inputs.Mask).exp() * advantages);
        return scope.Keep(perSequence.expand_as(inputs.Mask));                                      // [B, C]
    }

    /// <inheritdoc/>
    public override Tensor ClipCounts(ObjectiveInputs inputs)
    {
        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(Losses.ClipCounts.PerSequence(
            ImportanceRatio.Log(inputs, RatioLevel.Token).exp(), inputs.Advantages, inputs.Mask, Math.Exp(-Low), Math.Exp(High)));
    }

    /// <inheritdoc/>
    public override string? RefusalReason(LossReduction reduction) => SequenceLevel.RefusalReason(Name, reduction);

    /// <inheritdoc/>
    public override IEnumerable<string> Validate() => ParameterProblems.Find(
        Name,
        (Low is > 0 and <= 10, nameof(Low), Low, "above 0, at most 10"),
        (High is > 0 and <= 10, nameof(High), High, "above 0, at most 10")).Concat(Float32.Problems(
        Low is > 0 and <= 10 ? Float32.Problem($"{nameof(Low)} of {Name}", Low) : null,
        High is > 0 and <= 10 ? Float32.Problem($"{nameof(High)} of {Name}", High) : null));
}
