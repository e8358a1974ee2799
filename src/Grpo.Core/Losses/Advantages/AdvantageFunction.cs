using System.ComponentModel;

namespace Grpo.Losses;

/// <summary>Turns the rewards of a step into advantages. Derive from it, or from <see cref="GroupAdvantageFunction"/>, to plug in one of your own.</summary>
/// <remarks>
/// <para>Immutable: the parameters of a method are the properties of its record. Everything is double precision and managed; no tensors.</para>
/// <para>What no method may get wrong stands here and only here. An abstention is no part of any statistic and gets 0. A group of which
/// nothing can be learned (<see cref="CanLearnFrom"/>) gets exactly 0, tested by maximum == minimum before anything is divided: a naive
/// float mean leaves residues of up to 7e-3 after the division by a tiny standard deviation, and Adam turns any residue into a full-size
/// step. Rewards that are NaN or ∞ are refused by group and index, and so is a method that returns one.</para>
/// </remarks>
[TypeConverter(typeof(AdvantageFunctionConverter))]
public abstract record AdvantageFunction : IReflectedOptions
{
    /// <summary>The field's name of the method, as shown in plans and reports.</summary>
    public abstract string Name { get; }

    /// <summary>Whether the method reads <see cref="AdvantageGroup.Parts"/> and not the total alone; what is taken off the total, as a KL penalty is, would be lost on it.</summary>
    public virtual bool ReadsParts => false;

    /// <summary>Every parameter out of range, with what is allowed; empty when the function can be used.</summary>
    public virtual IEnumerable<string> Validate() => [];

    /// <summary>Whether some advantage of the group can be other than 0. The advantages of a group that fails this are exactly 0.</summary>
    /// <param name="group">The group, abstentions taken out.</param>
    /// <value>Default: at least two completions have a score, and not all scores are equal. Fewer than two never pass, whatever this says.</value>
    public virtual bool CanLearnFrom(GroupScores group)
    {
        ArgumentNullException.ThrowIfNull(group);
        return group.Moments.HasSpread;
    }

    /// <summary>Computes the advantages of a step.</summary>
    /// <param name="groups">All groups of the step: some methods take statistics over the whole of it.</param>
    /// <returns>One array per group, one advantage per completion, in the order given; finite; 0 for an abstention.</returns>
    /// <exception cref="ArgumentException">A reward or a part is NaN or ∞, a length is negative, or the lists of a group differ in length.</exception>
    /// <exception cref="InvalidOperationException">The method gave NaN, ∞ or the wrong number of advantages.</exception>
    public double[][] Compute(IReadOnlyList<AdvantageGroup> groups)
    {
        GroupScores[] scores = GroupScores.Of(groups);
        double[][] estimates = [.. Estimate(scores).Select(group => group.ToArray())];
        if (estimates.Length != scores.Length)
        {
            throw new InvalidOperationException(FormattableString.Invariant(
                $"The advantage function '{Name}' gave advantages for {estimates.Length} groups but was given {scores.Length}; ")
                + "it must give one row per group.");
        }

        var advantages = new double[groups.Count][];
        for (int i = 0; i < advantages.Length; i++)
        {
            advantages[i] = new double[groups[i].Rewards.Count];
            if (estimates[i].Length != scores[i].Rewards.Count)
            {
                throw new InvalidOperationException(FormattableString.Invariant(
                    $"The advantage function '{Name}' gave {estimates[i].Length} advantages for the {scores[i].Rewards.Count} scored completions of group {i}; ")
                    + "it must give one each.");
            }

            if (scores[i].Rewards.Count >= 2 && CanLearnFrom(scores[i]))
            {
                Scatter(estimates[i], groups[i].Rewards, advantages[i], i);
            }
        }

        return advantages;
    }

    /// <summary>The formula. Need not care about abstentions, equal rewards or NaN: see the remarks of the type.</summary>
    /// <param name="groups">All groups of the step, abstentions taken out. Some may hold no completion, one, or equal rewards.</param>
    /// <returns>One row per group, one advantage per entry of its <see cref="GroupScores.Rewards"/>.</returns>
    protected abstract IEnumerable<IEnumerable<double>> Estimate(IReadOnlyList<GroupScores> groups);

    // The estimates are those of the scored completions, in order.
    private void Scatter(double[] estimates, IReadOnlyList<double?> rewards, double[] advantages, int group)
    {
        int next = 0;
        for (int i = 0; i < advantages.Length; i++)
        {
            if (rewards[i] is not { } reward)
            {
                continue;
            }

            advantages[i] = estimates[next++];
            if (!float.IsFinite((float)advantages[i]))
            {
                throw new InvalidOperationException(FormattableString.Invariant(
                    $"The advantage function '{Name}' gave {advantages[i]} for completion {i} of group {group}, whose reward is {reward}; ")
                    + "advantages must be finite. Either the function divides by 0, or the rewards are so large that its sums overflow: scale them down.");
            }
        }
    }
}
