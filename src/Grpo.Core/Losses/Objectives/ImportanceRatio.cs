using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>Computes the logarithm of the importance ratio between the policy and the older policy that sampled.</summary>
public static class ImportanceRatio
{
    /// <summary>Computes d = log π − log π_old for each token, or its mean over the tokens of each sequence.</summary>
    /// <param name="inputs">The tensors of the micro-batch.</param>
    /// <param name="level">The level. Token: log w = d. Sequence: log s = Σ m·d / max(n, 1), so that an empty completion has s = 1.</param>
    /// <returns>
    /// The log-ratios, [B, C] by token or [B, 1] by sequence, float32, differentiable with respect to the log-probs. Owned by the caller's
    /// scope.
    /// </returns>
    /// <exception cref="ArgumentException">A shape differs.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The level is unknown.</exception>
    /// <remarks>GSPO, arXiv:2507.18071, eq. 7, for the sequence.</remarks>
    public static Tensor Log(ObjectiveInputs inputs, RatioLevel level)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        Require(inputs);
        using var scope = TensorScope.Begin();
        Tensor difference = inputs.LogProbs - inputs.OldLogProbs;                                   // [B, C]
        return scope.Keep(level switch
        {
            RatioLevel.Token => difference,
            RatioLevel.Sequence => MeanOverTokens(difference, inputs.Mask),
            _ => throw new ArgumentOutOfRangeException(nameof(level), level, "Not a ratio level."),
        });
    }

    /// <summary>Computes Σ m·x / max(n, 1) of each row, as a column.</summary>
    internal static Tensor MeanOverTokens(Tensor perToken, Tensor mask)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(((perToken * mask).sum(1L) / mask.sum(1L).clamp_min(1)).unsqueeze(1));    // [B, 1]
    }

    /// <summary>Requires the shapes of all four tensors, since [B] instead of [B, 1] would broadcast along the tokens.</summary>
    internal static void Require(ObjectiveInputs inputs)
    {
        long[] shape = inputs.LogProbs.shape;
        TensorGuard.Require(inputs.LogProbs, nameof(inputs.LogProbs), "[B, C]", -1, -1);
        TensorGuard.Require(inputs.OldLogProbs, nameof(inputs.OldLogProbs), "[B, C]", shape);
        TensorGuard.Require(inputs.Mask, nameof(inputs.Mask), "[B, C]", shape);
        TensorGuard.Require(inputs.Advantages, nameof(inputs.Advantages), "[B]", shape[0]);
    }
}

/// <summary>The level of an importance ratio: one per token or one per completion.</summary>
public enum RatioLevel
{
    /// <summary>One ratio per token, w = π/π_old.</summary>
    Token,

    /// <summary>One ratio per completion, s, the geometric mean of its tokens' ratios (GSPO).</summary>
    Sequence,
}
