using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>The GSPO-token objective: the value of GSPO's sequence ratio with the gradient of each token's own log-prob.</summary>
/// <remarks>
/// log w = log π − sg(log π) + sg(log s), then the clipped surrogate. arXiv:2507.18071, section 4.3. As long as all tokens of a completion
/// share one advantage, loss and gradient equal GSPO's.
/// </remarks>
public sealed record GspoTokenObjective : PolicyObjective
{
    /// <inheritdoc/>
    public override string Name => "GSPO-token";

    /// <summary>The lower bound ε_low of the sequence ratio.</summary>
    /// <value>Above 0, below 1; default 3e-4.</value>
    public double Low { get; init; } = 3e-4;

    /// <summary>The upper bound ε_high of the sequence ratio.</summary>
    /// <value>Above 0, to 100; default 4e-4.</value>
    public double High { get; init; } = 4e-4;

    /// <summary>The cap δ: the largest ratio that counts for a negative advantage. Not in the paper.</summary>
    /// <value>Above 1 + <see cref="High"/>, or null; default null.</value>
    public double? Cap { get; init; }

    /// <inheritdoc/>
    /// <value>Sequence mean and sequence sum, as for GSPO.</value>
    public override IReadOnlySet<LossReduction> Reductions => SequenceLevel.Reductions;

    /// <inheritdoc/>
    public override Tensor PerToken(ObjectiveInputs inputs)
    {
        using var scope = TensorScope.Begin();
        Tensor sequence = ImportanceRatio.Log(inputs, RatioLevel.Sequence).detach();                // [B, 1]
        Tensor logRatio = inputs.LogProbs - inputs.LogProbs.detach() + sequence;                    // [B, C]
        return scope.Keep(ClippedSurrogate.PerToken(
            logRatio, logRatio.new_zeros(logRatio.shape), inputs.Advantages, new ClipRange(Low, High, Cap)));
    }

    /// <inheritdoc/>
    public override Tensor ClipCounts(ObjectiveInputs inputs)
    {
        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(Losses.ClipCounts.PerSequence(
            ImportanceRatio.Log(inputs, RatioLevel.Sequence).exp(), inputs.Advantages, inputs.Mask, 1 - Low, 1 + High));
    }

    /// <inheritdoc/>
    public override string? RefusalReason(LossReduction reduction) => SequenceLevel.RefusalReason(Name, reduction);

    /// <inheritdoc/>
    public override IEnumerable<string> Validate() => GspoObjective.Problems(Name, Low, High, Cap);
}
