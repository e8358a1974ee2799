namespace Grpo;

/// <summary>Evaluates with the training's own parts: greedy completions of held-out prompts, scored by the reward function.</summary>
/// <param name="sampler">Samples the completions.</param>
/// <param name="reward">Scores them; the same object as in training, so that both agree on what an answer is.</param>
/// <param name="prompts">Held-out prompts; at least one.</param>
/// <param name="sampling">Limits, and the temperature when not greedy. Null: greedy with the default limits.</param>
public sealed class RewardEvaluator(
    IGroupSampler sampler, IRewardFunction reward, IReadOnlyList<Prompt> prompts, SamplingOptions? sampling = null) : IEvaluator
{
    private static readonly RewardOptions Scoring = new();

    private readonly IReadOnlyList<Prompt> _prompts = prompts.Count > 0
        ? prompts
        : throw new ArgumentException("There are no prompts to evaluate on: the data set is empty.", nameof(prompts));

    /// <inheritdoc/>
    /// <exception cref="RewardException">The reward failed.</exception>
    public async ValueTask<EvaluationReport> EvaluateAsync(IPolicy policy, CancellationToken cancellationToken = default)
    {
        var request = new RolloutRequest
        {
            Prompts = _prompts,
            GroupSize = 1,
            Sampling = sampling ?? new SamplingOptions().ToGreedy(),
        };
        IReadOnlyList<RolloutGroup> groups = await sampler.SampleAsync(policy, request, cancellationToken).ConfigureAwait(false);
        RewardScores scores = await RewardScorer.ScoreAsync(reward, groups, Scoring, cancellationToken).ConfigureAwait(false);
        Reward[] rewards = [.. scores.Rewards.SelectMany(group => group)];
        bool[] judged = [.. rewards.Select(item => item.IsCorrect).OfType<bool>()];
        double[] values = StepStatistics.Values(rewards);
        return new EvaluationReport
        {
            Count = rewards.Length,
            Accuracy = judged.Length == 0 ? null : judged.Count(correct => correct) / (double)judged.Length,
            MeanReward = values.Length == 0 ? double.NaN : values.Average(),
            MeanCompletionTokens = groups.Average(group => group.Completions.Average(completion => completion.TokenIds.Count)),
            Verdicts = StepStatistics.CountVerdicts(rewards),
            Groups = groups,
            Rewards = rewards,
        };
    }
}
