using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>The KL term of <see cref="KlEstimator.K1InReward"/>: takes β·Σ (log π − log π_ref) off each completion's reward.</summary>
internal sealed class RewardKl(IPolicy policy, IReferenceModel reference, GrpoOptions options, MicroBatchBudget budget)
{
    /// <summary>The shaped rewards, and the divergence that was found.</summary>
    /// <param name="Rewards">One list per group. Components and verdicts are those of the rewards given.</param>
    /// <param name="Kl">Mean k1 over all completion tokens, nats; of either sign.</param>
    public sealed record Shaped(IReadOnlyList<IReadOnlyList<Reward>> Rewards, double Kl);

    /// <summary>Shapes the rewards of a step. The policy must still be the one that sampled.</summary>
    /// <param name="groups">The rollouts.</param>
    /// <param name="rewards">One list per group; an abstention stays one.</param>
    /// <param name="coefficient">β.</param>
    /// <param name="cancellationToken">Stops between two forward passes.</param>
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
            [.. groups.SelectMany((group, i) => TrainingRow.Of(new ScoredGroup(group, rewards[i], new double[rewards[i].Count])))];
        double?[] shaped = [.. rewards.SelectMany(group => group).Select(reward => reward.Value)];
        double sum = 0;
        int[] written = [.. Enumerable.Range(0, rows.Length).Where(i => rows[i].Tokens.CompletionIds.Count > 0)];
        foreach (int[] members in MicroBatcher.Split([.. written.Select(i => rows[i].Tokens)], budget.Limits))
        {
            cancellationToken.ThrowIfCancellationRequested();
            int[] indices = [.. members.Select(member => written[member])];
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

    // The sampler's own log-probs where it recorded them: the update holds them against the policy's anyway.
    private (float[] LogProbs, float[] Reference)[] LogProbs(TrainingRow[] rows)
    {
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch batch = TokenBatchBuilder.Build(
            [.. rows.Select(row => row.Tokens)], padTokenId: 0, policy.Device(), budget.Limits.SharePrompts);
        float[][]? computed = rows.All(row => row.Completion.LogProbs is not null)
            ? null
            : RowLogProbs.Download(rows, CheckedLogProbs.Of(policy, batch, options.Sampling.Temperature));
        float[][] compared = RowLogProbs.Download(rows, CheckedLogProbs.Of(reference, batch, options.Sampling.Temperature));
        return [.. rows.Select((row, i) => (row.Completion.LogProbs?.ToArray() ?? computed![i], compared[i]))];
    }
}
