namespace Grpo;

/// <summary>
/// The order in which steps use the prompts: a pure function of (seed, step), so that a resumed run gets the same prompts.
/// </summary>
/// <remarks>Every epoch is a permutation of the whole data set. A step that straddles two epochs takes prompts from both.</remarks>
internal sealed class PromptOrder
{
    private readonly int _count;
    private readonly ulong _seed;
    private long _cachedEpoch = -1;
    private int[] _permutation = [];

    /// <summary>Creates the order.</summary>
    /// <param name="count">The number of prompts in the data set. At least 1.</param>
    /// <param name="seed">The seed of the run.</param>
    public PromptOrder(int count, ulong seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        _count = count;
        _seed = seed;
    }

    /// <summary>Returns the indices of a step's prompts.</summary>
    /// <param name="step">The step, from 0.</param>
    /// <param name="promptsPerStep">
    /// The number of prompts per step. If it exceeds the size of the data set, some prompts occur twice.
    /// </param>
    public IReadOnlyList<int> At(long step, int promptsPerStep)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(step);
        ArgumentOutOfRangeException.ThrowIfLessThan(promptsPerStep, 1);
        var indices = new int[promptsPerStep];
        for (int i = 0; i < promptsPerStep; i++)
        {
            indices[i] = At(checked((step * promptsPerStep) + i));
        }

        return indices;
    }

    /// <summary>Returns the index of the prompt at a position of the endless order, from 0.</summary>
    internal int At(long position) => Permutation(position / _count)[(int)(position % _count)];

    private int[] Permutation(long epoch)
    {
        if (epoch != _cachedEpoch)
        {
            int[] permutation = [.. Enumerable.Range(0, _count)];
            ulong key = CounterRandom.Combine(CounterRandom.Combine(1, _seed), (ulong)epoch);
            for (int i = _count - 1; i > 0; i--)
            {
                int other = (int)(CounterRandom.Uniform(key, i) * (i + 1));
                (permutation[i], permutation[other]) = (permutation[other], permutation[i]);
            }

            _permutation = permutation;
            _cachedEpoch = epoch;
        }

        return _permutation;
    }
}
