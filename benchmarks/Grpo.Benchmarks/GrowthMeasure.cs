namespace Grpo.Benchmarks;

/// <summary>What a <see cref="GrowthPoint"/> took.</summary>
/// <param name="Point">The point.</param>
/// <param name="Rollout">Seconds.</param>
/// <param name="Update">Seconds.</param>
/// <param name="PeakBytes">Of the process.</param>
internal sealed record GrowthMeasure(GrowthPoint Point, double Rollout, double Update, long PeakBytes);
