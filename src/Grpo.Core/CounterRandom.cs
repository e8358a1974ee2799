using System.Text;

namespace Grpo;

/// <summary>Random numbers that are a function of counters: nothing to save, nothing to share, the same in every batch and on every thread.</summary>
/// <remarks>Each counter passes through the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).</remarks>
public static class CounterRandom
{
    private const ulong Golden = 0x9E3779B97F4A7C15;

    /// <summary>The key of one completion.</summary>
    /// <param name="seed">Seed of the run.</param>
    /// <param name="step">Training step.</param>
    /// <param name="promptId">The prompt's id.</param>
    /// <param name="sample">Index in the group.</param>
    public static ulong Key(ulong seed, long step, string promptId, int sample) =>
        Combine(Combine(Combine(Combine(0, seed), (ulong)step), Hash(promptId)), (ulong)sample);

    /// <summary>A uniform number in [0, 1) with 53 random bits.</summary>
    /// <param name="key">From <see cref="Key"/>.</param>
    /// <param name="counter">Which number of the key's sequence.</param>
    public static double Uniform(ulong key, long counter) => (Combine(key, (ulong)counter) >> 11) * (1.0 / (1UL << 53));

    /// <summary>Mixes a value into a state.</summary>
    /// <param name="state">The state.</param>
    /// <param name="value">The value.</param>
    public static ulong Combine(ulong state, ulong value) => Mix(state + (Golden * (value + 1)));

    /// <summary>The finaliser of SplitMix64: a bijection in which every input bit reaches every output bit.</summary>
    /// <param name="z">The value.</param>
    public static ulong Mix(ulong z)
    {
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    // string.GetHashCode differs between processes.
    private static ulong Hash(string text)
    {
        ulong state = 0;
        foreach (byte value in Encoding.UTF8.GetBytes(text))
        {
            state = Combine(state, value);
        }

        return state;
    }
}
