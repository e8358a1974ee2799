namespace Grpo.Training;

/// <summary>What is remembered of a prompt.</summary>
/// <param name="Rates">
/// The fractions that were correct in the last groups, oldest first; at most <see cref="PassRateOptions.PassRateWindow"/>.
/// </param>
/// <param name="Pause">Turns still to be passed over.</param>
/// <param name="LastPause">How long the last pause was set to be; 0 when the last group was between the bounds.</param>
/// <param name="LastStep">The step that sampled it last, from 1.</param>
internal sealed record PassRate(IReadOnlyList<double> Rates, int Pause, int LastPause, long LastStep)
{
    /// <summary>Of a prompt that was never sampled.</summary>
    public static PassRate Unknown { get; } = new([], 0, 0, 0);

    /// <summary>After a group of which a fraction <paramref name="rate"/> was correct.</summary>
    public PassRate After(double rate, PassRateOptions options)
    {
        double[] rates = [.. Rates.Append(rate).TakeLast(options.PassRateWindow)];
        double mean = rates.Average();
        bool atBound = rates.Length == options.PassRateWindow && (mean >= options.SolvedAt || mean <= options.UnsolvedAt);
        int pause = atBound ? Math.Min(Math.Max(1, 2 * LastPause), options.LongestPause) : 0;
        return this with { Rates = rates, Pause = pause, LastPause = pause };
    }
}
