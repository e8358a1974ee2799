namespace Grpo.Losses;

/// <summary>Holds the reductions of objectives whose loss is one number per completion.</summary>
internal static class SequenceLevel
{
    /// <summary>The mean of a sequence's equal losses, or their sum.</summary>
    public static IReadOnlySet<LossReduction> Reductions { get; } =
        new HashSet<LossReduction> { LossReduction.SequenceMean, LossReduction.SequenceSum };

    /// <summary>Explains why a reduction is refused; null if it is accepted.</summary>
    public static string? RefusalReason(string name, LossReduction reduction) => Reductions.Contains(reduction)
        ? null
        : $"{name} has one ratio per completion, so {reduction} would count it once per token: the length would become a weight unasked. " +
          $"Use {LossReduction.SequenceMean}, or {LossReduction.SequenceSum} where that weight is wanted (LUSPO).";
}
