namespace Grpo.Rewards.Generation;

/// <summary>A SplitMix64 generator seeded with the coordinates of one problem, and the choices that templates make with it.</summary>
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

    /// <summary>Chooses a number from <paramref name="low"/> to <paramref name="high"/>, both included.</summary>
    public int Between(int low, int high) => low + (int)(Next() % (ulong)(high - low + 1));

    /// <summary>Chooses one of the items, each with equal probability.</summary>
    public T Choose<T>(IReadOnlyList<T> choices) => choices[Between(0, choices.Count - 1)];

    /// <summary>Chooses two different items.</summary>
    public (T First, T Second) ChooseTwo<T>(IReadOnlyList<T> choices)
    {
        int first = Between(0, choices.Count - 1);
        int second = Between(0, choices.Count - 2);
        return (choices[first], choices[second < first ? second : second + 1]);
    }

    /// <summary>Returns true with probability one half.</summary>
    public bool Coin() => Between(0, 1) == 1;

    /// <summary>
    /// Chooses a number that is easy to add and subtract: one digit, or sometimes a round number. At most
    /// <paramref name="high"/>, which is 2 or more.
    /// </summary>
    public int Easy(int high) => high >= 10 && Between(0, 2) == 0 ? 10 * Between(1, Math.Min(4, high / 10)) : Between(2, Math.Min(9, high));

    /// <summary>
    /// Chooses a divisor of <paramref name="amount"/> from 2 to 9 whose quotient is 2 to 12, as in a times table. Null if there is none.
    /// </summary>
    public int? Divisor(int amount)
    {
        int[] divisors = [.. Enumerable.Range(2, 8).Where(candidate => amount % candidate == 0 && amount / candidate is >= 2 and <= 12)];
        return divisors.Length == 0 ? null : Choose(divisors);
    }

    private ulong Next() => CounterRandom.Mix(_state += Increment);
}
