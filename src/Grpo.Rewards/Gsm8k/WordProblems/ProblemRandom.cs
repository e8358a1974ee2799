namespace Grpo.Rewards;

/// <summary>SplitMix64 started from the coordinates of one problem, and the choices that templates make with it.</summary>
internal sealed class ProblemRandom
{
    private const ulong Increment = 0x9E3779B97F4A7C15;

    private ulong _state;

    public ProblemRandom(params ReadOnlySpan<ulong> coordinates)
    {
        foreach (ulong coordinate in coordinates)
        {
            _state = CounterRandom.Mix(_state + Increment + coordinate);
        }
    }

    /// <summary>A number from <paramref name="low"/> to <paramref name="high"/>, both included.</summary>
    public int Between(int low, int high) => low + (int)(Next() % (ulong)(high - low + 1));

    /// <summary>One of the choices, equally often.</summary>
    public T Pick<T>(IReadOnlyList<T> choices) => choices[Between(0, choices.Count - 1)];

    /// <summary>Two different choices.</summary>
    public (T First, T Second) PickTwo<T>(IReadOnlyList<T> choices)
    {
        int first = Between(0, choices.Count - 1);
        int second = Between(0, choices.Count - 2);
        return (choices[first], choices[second < first ? second : second + 1]);
    }

    /// <summary>True as often as not.</summary>
    public bool Coin() => Between(0, 1) == 1;

    /// <summary>A number that is easily added and taken away, at most <paramref name="high"/> (2 or more): one digit, or sometimes a round one.</summary>
    public int Easy(int high) => high >= 10 && Between(0, 2) == 0 ? 10 * Between(1, Math.Min(4, high / 10)) : Between(2, Math.Min(9, high));

    /// <summary>A number from 2 to 9 that divides <paramref name="amount"/>, the result being 2 to 12 as in a times table; null when there is none.</summary>
    public int? Divisor(int amount)
    {
        int[] divisors = [.. Enumerable.Range(2, 8).Where(candidate => amount % candidate == 0 && amount / candidate is >= 2 and <= 12)];
        return divisors.Length == 0 ? null : Pick(divisors);
    }

    private ulong Next() => CounterRandom.Mix(_state += Increment);
}
