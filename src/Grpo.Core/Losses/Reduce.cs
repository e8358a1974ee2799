using System.ComponentModel;
using System.Globalization;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>Reduces per-token losses to a scalar.</summary>
public static class Reduce
{
    /// <summary>Reduces the losses of a micro-batch. The results of a step's micro-batches add up to the step's.</summary>
    /// <param name="reduction">The reduction.</param>
    /// <param name="perToken">The losses ℓ of the tokens, [B, C] float32, finite also where the mask is 0.</param>
    /// <param name="mask">The completion mask m, [B, C] float32.</param>
    /// <param name="denominators">The counts of the whole optimizer step.</param>
    /// <returns>A scalar, float32, differentiable with respect to <paramref name="perToken"/>. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">The shapes differ.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The reduction is unknown.</exception>
    public static Tensor Apply(LossReduction reduction, Tensor perToken, Tensor mask, LossDenominators denominators)
    {
        TensorGuard.Require(mask, nameof(mask), "[B, C]", perToken.shape);
        using var scope = TensorScope.Begin();
        Tensor masked = perToken * mask; // [B, C]
        return scope.Keep(reduction switch
        {
            LossReduction.TokenMean => masked.sum() / Math.Max(denominators.Tokens, 1),
            LossReduction.SequenceMean => (masked.sum(1L) / mask.sum(1L).clamp_min(1)).sum() / Math.Max(denominators.Sequences, 1),
            LossReduction.FixedLength => masked.sum() / (Math.Max(denominators.Sequences, 1) * (double)denominators.MaxCompletionTokens),
            LossReduction.SequenceSum => masked.sum() / Math.Max(denominators.Sequences, 1),
            _ => throw new ArgumentOutOfRangeException(nameof(reduction), reduction, "Not a loss reduction."),
        });
    }
}

/// <summary>
/// The reduction of per-token losses to a scalar. Every denominator is that of the whole optimizer step, never of a micro-batch.
/// </summary>
[TypeConverter(typeof(LossReductionConverter))]
public enum LossReduction
{
    /// <summary>The mean over all tokens of the step, Σ m·ℓ / N (DAPO).</summary>
    TokenMean,

    /// <summary>The mean over sequences of each sequence's mean over tokens (GRPO).</summary>
    SequenceMean,

    /// <summary>The sum over tokens, divided by a fixed length: Σ m·ℓ / (B · maximum completion length) (Dr. GRPO).</summary>
    FixedLength,

    /// <summary>
    /// The mean over sequences of each sequence's sum over tokens, Σ m·ℓ / B (LUSPO). Padding never counts, while it does in TRL.
    /// </summary>
    SequenceSum,
}

/// <summary>
/// Converts reductions from text, including <c>LengthScaled</c>, the earlier name of <see cref="LossReduction.SequenceSum"/>.
/// </summary>
internal sealed class LossReductionConverter() : EnumConverter(typeof(LossReduction))
{
    private const string EarlierName = "LengthScaled";

    /// <summary>Replaces the earlier name by the present one. Other texts stay as they are.</summary>
    public static string CurrentText(string text) =>
        text.Trim().Equals(EarlierName, StringComparison.OrdinalIgnoreCase) ? nameof(LossReduction.SequenceSum) : text;

    /// <summary>Parses a reduction.</summary>
    /// <exception cref="ArgumentException">The text names no reduction.</exception>
    public static LossReduction Parse(string text) => Enum.Parse<LossReduction>(CurrentText(text), ignoreCase: true);

    public override object? ConvertFrom(ITypeDescriptorContext? context, CultureInfo? culture, object value) =>
        base.ConvertFrom(context, culture, value is string text ? CurrentText(text) : value);
}
