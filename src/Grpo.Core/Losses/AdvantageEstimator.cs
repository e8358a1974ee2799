namespace Grpo.Losses;

/// <summary>How a group's rewards become advantages.</summary>
public enum AdvantageEstimator
{
    /// <summary>(r − mean) / (std + 1e-4): GRPO.</summary>
    GroupNormalized,

    /// <summary>r − mean: Dr. GRPO.</summary>
    MeanCentered,

    /// <summary>G/(G−1)·(r − mean): RLOO.</summary>
    LeaveOneOut,
}
