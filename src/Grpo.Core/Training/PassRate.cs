namespace Grpo;

/// <summary>What is remembered of a prompt.</summary>
internal sealed record PassRate
{
    /// <summary>The fractions that were correct in the last groups, oldest first; at most <see cref="PassRateOptions.PassRateWindow"/>.</summary>
    public IReadOnlyList<double> Rates { get; init; } = [];

    /// <summary>Turns still to be passed over.</summary>
    public int Pause { get; init; }

    /// <summary>How long the last pause was set to be; 0 when the last group was between the bounds.</summary>
    public int LastPause { get; init; }

    /// <summary>The step that sampled it last, from 1.</summary>
    public long LastStep { get; init; }

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
