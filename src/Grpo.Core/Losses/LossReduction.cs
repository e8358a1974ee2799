namespace Grpo.Losses;

/// <summary>How per-token losses become one number. Every denominator is that of the whole optimizer step, never of a micro-batch.</summary>
public enum LossReduction
{
    /// <summary>Σ m·ℓ / N over all tokens of the step: DAPO.</summary>
    TokenMean,

    /// <summary>The mean over sequences of each sequence's token mean: GRPO.</summary>
    SequenceMean,

    /// <summary>Σ m·ℓ / (B · maximum completion length): Dr. GRPO.</summary>
    FixedLength,

    /// <summary>The mean over sequences of length times token mean, which is Σ m·ℓ / B: LUSPO. Unlike TRL's, padding never enters it.</summary>
    LengthScaled,
}
