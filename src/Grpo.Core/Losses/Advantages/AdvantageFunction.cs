using System.ComponentModel;

namespace Grpo.Losses;

/// <summary>A base class for methods that compute advantages from the rewards of a step, such as GRPO's group normalization.</summary>
/// <remarks>
/// <para>
/// Derive from it, or from <see cref="GroupAdvantageFunction"/>, to write a method of your own. A method is immutable: its parameters are
/// the properties of its record. All numbers are managed double precision, without tensors.</para>
/// <para>
/// <see cref="Compute"/> handles what no method may get wrong. Abstentions are excluded from every statistic and get 0. A group from which
/// nothing can be learned (<see cref="CanLearnFrom"/>) gets exactly 0, decided by maximum == minimum before any division. Otherwise a float
/// mean would leave residues of up to 7e-3 after the division by a tiny standard deviation, and Adam turns any residue into a full-size
/// step. Rewards and advantages that are NaN or ∞ are refused with their group and index.</para>
/// </remarks>
[TypeConverter(typeof(AdvantageFunctionConverter))]
public abstract record AdvantageFunction : IReflectedOptions
{
    /// <summary>The usual name of the method, as shown in plans and reports.</summary>
    public abstract string Name { get; }

    /// <summary>
    /// True if the method reads <see cref="AdvantageGroup.Parts"/> besides the total. It then does not see what is subtracted from the
    /// total, such as a KL penalty.
    /// </summary>
    /// <value>Default false.</value>
    public virtual bool ReadsParts => false;

    /// <summary>Lists a sentence for each parameter that is out of range.</summary>
    /// <returns>The sentences; empty if the function can be used.</returns>
    public virtual IEnumerable<string> Validate() => [];

    /// <summary>True if an advantage of the group can differ from 0. Otherwise all advantages of the group are exactly 0.</summary>
    /// <param name="group">The group without abstentions.</param>
    /// <returns>
    /// By default true if at least two completions have a reward and not all rewards are equal. Fewer than two never count.
    /// </returns>
    public virtual bool CanLearnFrom(GroupScores group)
    {
        ArgumentNullException.ThrowIfNull(group);
        return group.Moments.HasSpread;
    }

    /// <summary>Computes the advantages of a step.</summary>
    /// <param name="groups">All groups of the step, since some methods use statistics of the whole step.</param>
    /// <returns>An array per group with an advantage per completion, in the given order. Each is finite, and 0 for an abstention.</returns>
    /// <exception cref="ArgumentException">
    /// A reward or a part is NaN or ∞, a length is negative, or the lists of a group differ in length.
    /// </exception>
    /// <exception cref="InvalidOperationException">The method returned NaN, ∞ or the wrong number of advantages.</exception>
    public double[][] Compute(IReadOnlyList<AdvantageGroup> groups)
    {
        GroupScores[] scores = GroupScores.From(groups);
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
                    $"The advantage function '{Name}' gave {estimates[i].Length} advantages for the {scores[i].Rewards.Count} scored ")
                    + FormattableString.Invariant($"completions of group {i}; ")
                    + "it must give one each.");
            }

            if (scores[i].Rewards.Count >= 2 && CanLearnFrom(scores[i]))
            {
                Scatter(estimates[i], groups[i].Rewards, advantages[i], i);
            }
        }

        return advantages;
    }

    /// <summary>Computes the formula of the method. <see cref="Compute"/> takes care of abstentions, equal rewards and NaN.</summary>
    /// <param name="groups">All groups of the step without abstentions. A group may have no completion, one, or equal rewards.</param>
    /// <returns>A row per group with an advantage per entry of its <see cref="GroupScores.Rewards"/>.</returns>
    protected abstract IEnumerable<IEnumerable<double>> Estimate(IReadOnlyList<GroupScores> groups);

    // The estimates belong to the scored completions, in order.
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
                    + "advantages must be finite. Either the function divides by 0, or the rewards are so large that "
                    + "its sums overflow: scale them down.");
            }
        }
    }
}

/// <summary>A base class for advantage functions that compute each group by itself.</summary>
/// <remarks>
/// The formula is called only for groups from which something can be learned (<see cref="AdvantageFunction.CanLearnFrom"/>).
/// </remarks>
public abstract record GroupAdvantageFunction : AdvantageFunction
{
    /// <summary>Computes the formula of the method for one group.</summary>
    /// <param name="group">The group without abstentions: at least two rewards, not all equal.</param>
    /// <returns>An advantage per entry of <see cref="GroupScores.Rewards"/>.</returns>
    protected abstract IEnumerable<double> Estimate(GroupScores group);

    /// <inheritdoc/>
    protected sealed override IEnumerable<IEnumerable<double>> Estimate(IReadOnlyList<GroupScores> groups) =>
        groups.Select(group => group.Rewards.Count >= 2 && CanLearnFrom(group) ? Estimate(group) : new double[group.Rewards.Count]);
}

/// <summary>Converts advantage functions from text such as "group-normalized(Epsilon=1e-6)", and back.</summary>
internal sealed class AdvantageFunctionConverter() : MethodConverter<AdvantageFunction>(
    "Advantage",
    () => new GroupNormalizedAdvantage(), () => new MeanCenteredAdvantage(), () => new BatchNormalizedAdvantage(),
    () => new LeaveOneOutAdvantage(), () => new LengthWeightedAdvantage(), () => new PerRewardNormalizedAdvantage(),
    () => new ReinforcePlusPlusAdvantage(), () => new PassAtKAdvantage());
