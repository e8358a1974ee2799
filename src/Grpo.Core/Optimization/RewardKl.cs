using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>
/// The KL penalty of <see cref="KlEstimator.K1InReward"/>, which subtracts β·Σ (log π − log π_ref) from each completion's reward.
/// </summary>
internal sealed class RewardKl(IPolicy policy, IReferenceModel reference, GrpoOptions options, MicroBatchBudget budget)
{
    /// <summary>The rewards after the penalty, and the measured KL divergence.</summary>
    /// <param name="Rewards">The rewards, one list per group. Components and verdicts are those of the original rewards.</param>
    /// <param name="Kl">The mean k1 over all completion tokens in nats, positive or negative.</param>
    public sealed record Shaped(IReadOnlyList<IReadOnlyList<Reward>> Rewards, double Kl);

    /// <summary>Subtracts the penalty from the rewards of a step. The policy must still have the weights that it sampled with.</summary>
    /// <param name="groups">The rollouts.</param>
    /// <param name="rewards">The rewards, one list per group. An abstention stays an abstention.</param>
    /// <param name="coefficient">The coefficient β.</param>
    /// <param name="cancellationToken">The token that stops the passes between two micro-batches.</param>
    /// <exception cref="TrainingDivergedException">A log-prob is NaN or ∞.</exception>
    /// <exception cref="InvalidOperationException">A single completion does not fit into memory.</exception>
    public Shaped Shape(
        IReadOnlyList<RolloutGroup> groups, IReadOnlyList<IReadOnlyList<Reward>> rewards, double coefficient,
        CancellationToken cancellationToken) =>
        budget.Fit(() => Pass(groups, rewards, coefficient, cancellationToken));

    private Shaped Pass(
        IReadOnlyList<RolloutGroup> groups, IReadOnlyList<IReadOnlyList<Reward>> rewards, double coefficient,
        CancellationToken cancellationToken)
    {
        TrainingRow[] rows =
            [.. groups.SelectMany((group, i) => TrainingRow.FromGroup(new ScoredGroup(group, rewards[i], new double[rewards[i].Count])))];
        double?[] shaped = [.. rewards.SelectMany(group => group).Select(reward => reward.Value)];
        double sum = 0;
        int[] nonEmpty = [.. Enumerable.Range(0, rows.Length).Where(i => rows[i].Tokens.CompletionIds.Count > 0)];
        foreach (int[] members in MicroBatcher.Split([.. nonEmpty.Select(i => rows[i].Tokens)], budget.Limits))
        {
            cancellationToken.ThrowIfCancellationRequested();
            int[] indices = [.. members.Select(member => nonEmpty[member])];
            TrainingRow[] batch = [.. indices.Select(i => rows[i])];
            (float[] LogProbs, float[] Reference)[] tokens = MicroBatchBudget.Run(batch, () => LogProbs(batch));
            for (int member = 0; member < indices.Length; member++)
            {
                int i = indices[member];
                try
                {
                    sum += KlShapedReward.K1(tokens[member].LogProbs, tokens[member].Reference);
                    shaped[i] = KlShapedReward.Compute(shaped[i], tokens[member].LogProbs, tokens[member].Reference, coefficient);
                }
                catch (ArgumentException exception)
                {
                    throw new TrainingDivergedException(
                        $"The KL penalty of {rows[i].Title} cannot be computed; nothing was applied. {exception.Message}", exception);
                }
            }
        }

        int next = 0;
        return new Shaped(
            [.. rewards.Select(group => group.Select(reward => reward with { Value = shaped[next++] }).ToArray())],
            sum / Math.Max(1, rows.Sum(row => (long)row.Tokens.CompletionIds.Count)));
    }

    // Uses the sampler's log-probs if it recorded them for all rows. The update compares them with the policy's later.
    private (float[] LogProbs, float[] Reference)[] LogProbs(TrainingRow[] rows)
    {
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch batch = TokenBatchBuilder.Build(
            [.. rows.Select(row => row.Tokens)], padTokenId: 0, policy.Device(), budget.Limits.SharePrompts);
        Tensor? computed = rows.All(row => row.Completion.LogProbs is not null)
            ? null
            : CheckedLogProbs.Compute(policy, batch, options.Sampling.Temperature);
        Tensor compared = CheckedLogProbs.Compute(reference, batch, options.Sampling.Temperature);
        float[][][] numbers = computed is null
            ? RowLogProbs.DownloadAll(rows, compared)
            : RowLogProbs.DownloadAll(rows, compared, computed);
        return [.. rows.Select((row, i) => (row.Completion.LogProbs?.ToArray() ?? numbers[1][i], numbers[0][i]))];
    }
}
