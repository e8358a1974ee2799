namespace Grpo.Losses;

/// <summary>An advantage function that looks at one group at a time, and only at groups from which something can be learned.</summary>
public abstract record GroupAdvantageFunction : AdvantageFunction
{
    /// <summary>The formula for one group.</summary>
    /// <param name="group">The group, abstentions taken out: at least two rewards, not all equal (<see cref="AdvantageFunction.CanLearnFrom"/>).</param>
    /// <returns>One advantage per entry of <see cref="GroupScores.Rewards"/>.</returns>
    protected abstract IEnumerable<double> Estimate(GroupScores group);

    /// <inheritdoc/>
    protected sealed override IEnumerable<IEnumerable<double>> Estimate(IReadOnlyList<GroupScores> groups) =>
        groups.Select(group => group.Rewards.Count >= 2 && CanLearnFrom(group) ? Estimate(group) : new double[group.Rewards.Count]);
}
