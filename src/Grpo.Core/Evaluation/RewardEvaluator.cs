using System.Runtime.CompilerServices;
using Grpo.Optimization;
using Grpo.Rollouts;
using Grpo.Scoring;

namespace Grpo.Evaluation;

/// <summary>
/// Evaluates with the training's own parts: completions of held-out prompts, scored by the reward function. One greedy completion per prompt
/// for accuracy and, when asked for, several sampled ones for pass@k and maj@k.
/// </summary>
/// <remarks>
/// The report is a function of weights, prompts, options and seed. All completions are kept in it; what the device holds at a time is
/// bounded by <see cref="SamplingOptions.MaxConcurrentSequences"/>.
/// </remarks>
public sealed class RewardEvaluator : IEvaluator, IHasIdentity
{
    private static readonly RewardOptions Scoring = new();

    private readonly CheckedSampler _sampler;
    private readonly IRewardFunction _reward;
    private readonly IReadOnlyList<Prompt> _prompts;
    private readonly EvaluationOptions _options;

    /// <summary>Measures accuracy with other limits or another temperature. A literal null is a null of the other constructor.</summary>
    /// <param name="sampler">Samples the completions.</param>
    /// <param name="reward">Scores them; the same object as in training, so that both agree on what an answer is.</param>
    /// <param name="prompts">Held-out prompts; at least one.</param>
    /// <param name="sampling">Limits, and the temperature when not greedy.</param>
    /// <exception cref="ArgumentException">
    /// There are no prompts, the sampler would refuse some (<see cref="IPromptChecker"/>), or the options are out of range.
    /// </exception>
    public RewardEvaluator(IGroupSampler sampler, IRewardFunction reward, IReadOnlyList<Prompt> prompts, SamplingOptions? sampling)
        : this(sampler, reward, prompts, new EvaluationOptions { AccuracySampling = sampling ?? new SamplingOptions().ToGreedy() })
    {
    }

    /// <summary>Measures what the options ask for.</summary>
    /// <param name="sampler">Samples the completions.</param>
    /// <param name="reward">Scores them; the same object as in training, so that both agree on what an answer is.</param>
    /// <param name="prompts">Held-out prompts; at least one.</param>
    /// <param name="options">Null: accuracy, greedy, with the default limits. Copied: later changes have no effect.</param>
    /// <exception cref="ArgumentException">
    /// There are no prompts, the sampler would refuse some (<see cref="IPromptChecker"/>), or the options are out of range.
    /// </exception>
    [OverloadResolutionPriority(1)]
    public RewardEvaluator(IGroupSampler sampler, IRewardFunction reward, IReadOnlyList<Prompt> prompts, EvaluationOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(sampler);
        ArgumentNullException.ThrowIfNull(reward);
        ArgumentNullException.ThrowIfNull(prompts);
        options ??= new EvaluationOptions();
        options.Validate();
        _sampler = new CheckedSampler(sampler);
        _reward = reward;
        _options = options.Copy();
        _prompts = prompts.Count > 0
            ? prompts
            : throw new ArgumentException("There are no prompts to evaluate on: the data set is empty.", nameof(prompts));
        _sampler.CheckPrompts(prompts, _options.AccuracySampling);
        if (_options is { Samples: > 0, PassSampling: { } sampling })
        {
            _sampler.CheckPrompts(prompts, sampling);
        }
    }

    /// <inheritdoc/>
    /// <value>What decides on accuracy and mean reward, by which the best step is chosen: prompts, sampling, sampler and reward.</value>
    public PlugInIdentity Identity => OptionText.Of(_options.AccuracySampling, "")
        .Aggregate(new PlugInIdentity("reward evaluator"), (identity, option) => identity.With(option.Key, option.Value))
        .With("prompts", PromptText.Describe(_prompts))
        .With("prompts.fields", PromptText.DescribeFields(_prompts))
        .With("seed", _options.AccuracySampling.Temperature > 0 ? _options.Seed : (ulong?)null)
        .WithPart("sampler", _sampler)
        .WithPart("reward", _reward);

    /// <inheritdoc/>
    /// <exception cref="RewardException">The reward failed.</exception>
    /// <exception cref="InvalidOperationException">
    /// The sampler returned something else than was asked for, or the lenient measure is neither 0 nor 1.
    /// </exception>
    public async ValueTask<EvaluationReport> EvaluateAsync(IPolicy policy, CancellationToken cancellationToken = default)
    {
        IReadOnlyList<ScoredPrompt> single = await RunAsync(policy, 1, _options.AccuracySampling, cancellationToken).ConfigureAwait(false);
        IReadOnlyList<ScoredPrompt> sampled = _options.Samples == 0
            ? []
            : await RunAsync(
                policy, _options.Samples, _options.PassSampling ?? _options.AccuracySampling.ToGreedy() with { Temperature = 1 }, cancellationToken)
                .ConfigureAwait(false);
        return EvaluationSummary.Create(single, sampled, _options);
    }

    private async ValueTask<IReadOnlyList<ScoredPrompt>> RunAsync(
        IPolicy policy, int count, SamplingOptions sampling, CancellationToken cancellationToken)
    {
        var request = new RolloutRequest { Prompts = _prompts, GroupSize = count, Sampling = sampling, Seed = _options.Seed };
        IReadOnlyList<RolloutGroup> groups = await _sampler.SampleAsync(policy, request, cancellationToken).ConfigureAwait(false);
        RewardScores scores = await RewardScorer.ScoreAsync(_reward, groups, Scoring, cancellationToken).ConfigureAwait(false);
        return [.. groups.Zip(scores.Rewards, (group, rewards) => new ScoredPrompt(group, rewards))];
    }
}
