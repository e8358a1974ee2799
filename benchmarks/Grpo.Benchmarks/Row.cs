namespace Grpo.Benchmarks;

/// <summary>A row of the table and of the JSON file.</summary>
/// <param name="Name">The name of the case.</param>
/// <param name="Seconds">The median time in seconds.</param>
/// <param name="TokensPerSecond">The tokens per second, or null if tokens do not matter.</param>
/// <param name="OfBound">The speed as a fraction of the speed that the roof allows, or null if the case has no bound.</param>
/// <param name="TimesBaseline">The speed as a multiple of the baseline's, or null without a baseline.</param>
/// <param name="Baseline">The name of the baseline, or null.</param>
/// <param name="QuietRounds">The number of quiet rounds. If it is 0, all rounds counted.</param>
/// <param name="Rounds">The number of rounds.</param>
internal sealed record Row(
    string Name, double Seconds, double? TokensPerSecond, double? OfBound, double? TimesBaseline, string? Baseline, int QuietRounds,
    int Rounds)
{
    /// <summary>Creates the rows of cases that were timed together.</summary>
    public static IReadOnlyList<Row> FromTimings(IReadOnlyList<Case> cases, IReadOnlyList<Timing> timings, Roofline roof) =>
        [.. cases.Select((item, i) =>
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
        return FormattableString.Invariant(
            $"| {Name,-44} | {Seconds * 1e3,10:F1} | {TokensPerSecond,9:F1} | {share,6} | {times,-34} | {QuietRounds,2}/{Rounds,-2} |");
    }
}
