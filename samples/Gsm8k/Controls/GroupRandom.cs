namespace Grpo.Samples.Gsm8k;

/// <summary>
/// Random numbers that depend only on the content of a group, so that the order in which groups are scored does not matter.
/// </summary>
internal static class GroupRandom
{
    /// <summary>Returns one number in [0, 1) per completion.</summary>
    public static double[] Of(ulong seed, RolloutGroup group)
    {
        ulong key = CounterRandom.Key(seed, step: 0, group.Prompt.Id, sample: 0);
        foreach (int id in group.Completions.SelectMany(completion => completion.TokenIds))
        {
            key = CounterRandom.Combine(key, (ulong)id);
        }

        return [.. group.Completions.Select((_, sample) => CounterRandom.Uniform(key, sample))];
    }
}
