using System.Text;

namespace Grpo;

/// <summary>
/// A counter-based random number generator without state. A number depends only on its counters, so it is equal in every batch and on every
/// thread.
/// </summary>
/// <remarks>Each counter passes through the finalizer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).</remarks>
public static class CounterRandom
{
    private const ulong Golden = 0x9E3779B97F4A7C15;

    /// <summary>Returns the key of one completion's sequence of random numbers.</summary>
    /// <param name="seed">The seed of the run.</param>
    /// <param name="step">The training step.</param>
    /// <param name="promptId">The id of the prompt.</param>
    /// <param name="sample">The index of the completion in its group.</param>
    public static ulong Key(ulong seed, long step, string promptId, int sample) =>
        Combine(Combine(Combine(Combine(0, seed), (ulong)step), Hash(promptId)), (ulong)sample);

    /// <summary>Returns a uniform random number in [0, 1) with 53 random bits.</summary>
    /// <param name="key">The key of the sequence, from <see cref="Key"/>.</param>
    /// <param name="counter">The index of the number in the key's sequence.</param>
    public static double Uniform(ulong key, long counter) => (Combine(key, (ulong)counter) >> 11) * (1.0 / (1UL << 53));

    /// <summary>Mixes a value into a state.</summary>
    /// <param name="state">The state before.</param>
    /// <param name="value">The value to mix in.</param>
    /// <returns>The state after.</returns>
    public static ulong Combine(ulong state, ulong value) => Mix(state + (Golden * (value + 1)));

    /// <summary>Applies the finalizer of SplitMix64, a bijection in which every input bit affects every output bit.</summary>
    /// <param name="z">The value to mix.</param>
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
