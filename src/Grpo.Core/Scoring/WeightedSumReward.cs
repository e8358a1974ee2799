namespace Grpo.Scoring;

/// <summary>The reward function of <see cref="RewardFunction.WeightedSum"/>.</summary>
internal sealed class WeightedSumReward : IWeightedReward, IHasIdentity
{
    private readonly (IRewardFunction Reward, double Weight)[] _parts;

    public WeightedSumReward((IRewardFunction Reward, double Weight)[] parts)
    {
        _parts = parts;
        PartWeights = parts.ToDictionary(part => part.Reward.Name, part => part.Weight);
        Name = string.Join('+', parts.Select(part => part.Reward.Name));
    }

    public string Name { get; }

    public IReadOnlyDictionary<string, double>? PartWeights { get; }

    // The name of the sum contains the order of the parts.
    public PlugInIdentity Identity => _parts.Aggregate(
        new PlugInIdentity("weighted sum"),
        (identity, part) => identity.WithPart(part.Reward.Name, part.Reward).With($"weight of {part.Reward.Name}", part.Weight));

    public async ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(group);
        RewardOutcome[] outcomes = await InvokeAsync(group, cancellationToken).ConfigureAwait(false);
        return [.. outcomes.Select(outcome => outcome.Error is null ? outcome.Reward : throw outcome.Error)];
    }

    /// <summary>Returns the sums. A completion on which a part failed gets the error of that part.</summary>
    public async ValueTask<RewardOutcome[]> InvokeAsync(RolloutGroup group, CancellationToken cancellationToken)
    {
        // All parts start before the first is awaited, so that slow parts wait at the same time.
        var pending = new Task<RewardOutcome[]>[_parts.Length];
        for (int i = 0; i < _parts.Length; i++)
        {
            pending[i] = RewardCall.InvokeAsync(_parts[i].Reward, group, cancellationToken).AsTask();
        }

        RewardOutcome[][] outcomes = await Task.WhenAll(pending).ConfigureAwait(false);   // [part][completion]
        return [.. Enumerable.Range(0, group.Completions.Count).Select(index => Sum(outcomes, group, index))];
    }

    private RewardOutcome Sum(RewardOutcome[][] outcomes, RolloutGroup group, int index)
    {
        double? sum = null;
        string? verdict = null;
        bool? isCorrect = null;
        string? answer = null;
        var components = new Dictionary<string, double?>();
        for (int i = 0; i < _parts.Length; i++)
        {
            if (outcomes[i][index].Error is { } error)
            {
                return new RewardOutcome(default, error);
            }

            Reward part = outcomes[i][index].Reward;
            string name = _parts[i].Reward.Name;
            components[name] = part.Value;
            foreach (var (inner, value) in part.Components ?? new Dictionary<string, double?>())
            {
                components[$"{name}/{inner}"] = value;
            }

            sum = part.Value is { } scored ? (sum ?? 0) + (_parts[i].Weight * scored) : sum;
            verdict ??= part.Verdict;
            // The answer comes from the part that judged it, not from another part.
            answer = isCorrect is null ? part.Answer : answer;
            isCorrect ??= part.IsCorrect;
        }

        return RewardCall.Check(
            new Reward(sum) { Components = components, Verdict = verdict, IsCorrect = isCorrect, Answer = answer }, this, group, index);
    }
}
