namespace Grpo.Losses;

/// <summary>What the methods share whose loss is one number per completion.</summary>
internal static class SequenceLevel
{
    /// <summary>The mean of a sequence's equal losses, or that mean times its length.</summary>
    public static IReadOnlySet<LossReduction> Reductions { get; } =
        new HashSet<LossReduction> { LossReduction.SequenceMean, LossReduction.LengthScaled };

    public static string? RefusalReason(string name, LossReduction reduction) => Reductions.Contains(reduction)
        ? null
        : $"{name} has one ratio per completion, so {reduction} would count it once per token: the length would become a weight unasked. " +
          $"Use {LossReduction.SequenceMean}, or {LossReduction.LengthScaled} where that weight is wanted (LUSPO).";
}
