namespace Grpo.Benchmarks;

/// <summary>A line of the table and of the JSON file.</summary>
/// <param name="Name">What was timed.</param>
/// <param name="Seconds">Median.</param>
/// <param name="TokensPerSecond">Null where tokens are not what counts.</param>
/// <param name="OfBound">Fraction of what the roof allows; null where no bound is given.</param>
/// <param name="TimesBaseline">How many times as fast as the baseline; null without one.</param>
/// <param name="Baseline">The baseline's name.</param>
/// <param name="QuietRounds">Rounds that counted, of <paramref name="Rounds"/>; all of them where none was quiet.</param>
/// <param name="Rounds">Rounds.</param>
internal sealed record Row(
    string Name, double Seconds, double? TokensPerSecond, double? OfBound, double? TimesBaseline, string? Baseline, int QuietRounds, int Rounds)
{
    /// <summary>The rows of cases that were timed together.</summary>
    public static IReadOnlyList<Row> Of(IReadOnlyList<Case> cases, IReadOnlyList<Timing> timings, Roofline roof) => [.. cases.Select((item, i) =>
    {
        int baseline = cases.ToList().FindIndex(other => other.Name == item.Baseline);
        double bound = roof.Bound(item);
        return new Row(
            item.Name,
            timings[i].Seconds,
            item.Tokens > 0 ? item.Tokens / timings[i].Seconds : null,
            bound > 0 ? bound / timings[i].Seconds : null,
            baseline >= 0 ? timings[baseline].Seconds / timings[i].Seconds : null,
            item.Baseline,
            timings[i].QuietRounds,
            timings[i].Rounds);
    })];

    public override string ToString()
    {
        string times = TimesBaseline is { } ratio ? FormattableString.Invariant($"{ratio:F2} x {Baseline}") : "";
        string share = OfBound is { } fraction ? FormattableString.Invariant($"{fraction * 100:F0} %") : "";
        return FormattableString.Invariant($"| {Name,-44} | {Seconds * 1e3,10:F1} | {TokensPerSecond,9:F1} | {share,6} | {times,-34} | {QuietRounds,2}/{Rounds,-2} |");
    }
}
