using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>
/// The SAPO objective: a soft gate instead of a clip. The gradient fades as the ratio leaves 1, faster for negative advantages.
/// </summary>
/// <remarks>
/// ℓ = −(4/τ)·σ(τ·(w − 1))·A with τ = τ_pos for A &gt; 0, else τ_neg. arXiv:2511.20347. The factor 4/τ makes the gradient at w = 1 that of
/// REINFORCE, since σ'(0) = 1/4. The value there is −2A/τ, so losses with different τ cannot be compared.
/// </remarks>
public sealed record SapoObjective : PolicyObjective
{
    /// <inheritdoc/>
    public override string Name => "SAPO";

    /// <summary>The temperature τ_pos: the steepness of the gate for positive advantages.</summary>
    /// <value>Above 0, to 100; default 1, the paper's.</value>
    public double PositiveTemperature { get; init; } = 1;

    /// <summary>The temperature τ_neg: the steepness of the gate for all other advantages.</summary>
    /// <value>Above 0, to 100; default 1.05, the paper's.</value>
    public double NegativeTemperature { get; init; } = 1.05;

    /// <summary>The level of the ratio in the gate: that of the token or of its completion.</summary>
    /// <value>Default <see cref="RatioLevel.Token"/>, as in the paper.</value>
    public RatioLevel Level { get; init; } = RatioLevel.Token;

    /// <inheritdoc/>
    /// <value>By token all; by sequence the sequence mean and the sequence sum.</value>
    public override IReadOnlySet<LossReduction> Reductions => Level == RatioLevel.Sequence ? SequenceLevel.Reductions : base.Reductions;

    /// <inheritdoc/>
    public override bool IsPerToken => Level == RatioLevel.Token;

    /// <inheritdoc/>
    public override Tensor PerToken(ObjectiveInputs inputs)
    {
        using var scope = TensorScope.Begin();
        Tensor ratio = ImportanceRatio.Log(inputs, Level).exp();                                    // [B, C] or [B, 1]
        Tensor advantages = inputs.Advantages.unsqueeze(1);                                         // [B, 1]
        Tensor temperature = torch.where(
            advantages.gt(0), torch.full_like(advantages, PositiveTemperature), torch.full_like(advantages, NegativeTemperature));
        Tensor gate = (temperature * (ratio - 1)).sigmoid() * (4 / temperature);
        return scope.Keep((-(gate * advantages)).expand_as(inputs.Mask));                           // [B, C]
    }

    /// <inheritdoc/>
    public override string? RefusalReason(LossReduction reduction) =>
        Level == RatioLevel.Sequence ? SequenceLevel.RefusalReason(Name, reduction) : base.RefusalReason(reduction);

    private static string TooSmall =>
        FormattableString.Invariant($"{Float32.SmallestDivisor} or more: the loss is divided by it, in float32");

    /// <inheritdoc/>
    public override IEnumerable<string> Validate() => ParameterProblems.Find(
        Name,
        (PositiveTemperature is > 0 and <= 100, nameof(PositiveTemperature), PositiveTemperature, "above 0, at most 100"),
        (NegativeTemperature is > 0 and <= 100, nameof(NegativeTemperature), NegativeTemperature, "above 0, at most 100"),
        (PositiveTemperature is not (> 0 and < Float32.SmallestDivisor), nameof(PositiveTemperature), PositiveTemperature, TooSmall),
        (NegativeTemperature is not (> 0 and < Float32.SmallestDivisor), nameof(NegativeTemperature), NegativeTemperature, TooSmall),
        (Enum.IsDefined(Level), nameof(Level), Level, string.Join(" or ", Enum.GetNames<RatioLevel>())));
}
