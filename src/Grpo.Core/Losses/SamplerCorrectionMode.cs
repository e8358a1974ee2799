namespace Grpo.Losses;

/// <summary>What becomes of a sampler ratio above its cap.</summary>
public enum SamplerCorrectionMode
{
    /// <summary>It counts as the cap: a bounded bias, and every token still teaches.</summary>
    Truncate,

    /// <summary>It counts as 0: the token is left out of the policy loss.</summary>
    Mask,
}
