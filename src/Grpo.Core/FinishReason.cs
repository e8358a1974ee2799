namespace Grpo;

/// <summary>Why a completion ended.</summary>
public enum FinishReason
{
    /// <summary>The policy sampled one of the end tokens (also when that happened exactly at the length limit).</summary>
    EndToken,

    /// <summary>The length limit was reached before an end token.</summary>
    Truncated,
}
