namespace Grpo.Losses;

/// <summary>What one importance ratio stands for.</summary>
public enum RatioLevel
{
    /// <summary>A token: w = π/π_old.</summary>
    Token,

    /// <summary>A completion: s, the geometric mean of its tokens' ratios (GSPO).</summary>
    Sequence,
}
