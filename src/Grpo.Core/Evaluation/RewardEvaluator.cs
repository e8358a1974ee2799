using System.Runtime.CompilerServices;
using Grpo.Optimization;
using Grpo.Rollouts;
using Grpo.Scoring;

namespace Grpo.Evaluation;

/// <summary>
/// The evaluator that scores completions of held-out prompts with the reward function of the training. It decodes one greedy completion per
/// prompt for the accuracy and, on request, samples several for pass@k and maj@k.
/// </summary>
/// <remarks>
/// The report depends only on weights, prompts, options and seed, and it contains all completions.
/// <see cref="SamplingOptions.MaxConcurrentSequences"/> bounds the device memory.
/// </remarks>
public sealed class RewardEvaluator : IEvaluator, IHasIdentity
{
    private static readonly RewardOptions Scoring = new();

    private readonly CheckedSampler _sampler;
    private readonly IRewardFunction _reward;
    private readonly IReadOnlyList<Prompt> _prompts;
    private readonly EvaluationOptions _options;

    /// <summary>
    /// Creates an evaluator that measures the accuracy with given sampling options. A literal null selects the other constructor.
    /// </summary>
    /// <param name="sampler">The sampler of the completions.</param>
    /// <param name="reward">The reward function. Use the object of the training, so that both agree on correct answers.</param>
    /// <param name="prompts">The held-out prompts, at least one.</param>
    /// <param name="sampling">The limits, and the temperature if not greedy. Null for greedy decoding with the default limits.</param>
    /// <exception cref="ArgumentException">
    /// There are no prompts, the sampler would refuse some (<see cref="IPromptChecker"/>), or the options are out of range.
    /// </exception>
    public RewardEvaluator(IGroupSampler sampler, IRewardFunction reward, IReadOnlyList<Prompt> prompts, SamplingOptions? sampling)
        : this(sampler, reward, prompts, new EvaluationOptions { AccuracySampling = sampling ?? new SamplingOptions().ToGreedy() })
    {
    }

    /// <summary>Creates an evaluator with the given options.</summary>
    /// <param name="sampler">The sampler of the completions.</param>
    /// <param name="reward">The reward function. Use the object of the training, so that both agree on correct answers.</param>
    /// <param name="prompts">The held-out prompts, at least one.</param>
    /// <param name="options">
    /// The options of the evaluation, which are copied. Null for the greedy accuracy with the default limits.
    /// </param>
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
    /// <value>
    /// The facts that determine accuracy and mean reward, and so the best step: prompts, sampling options, sampler and reward.
    /// </value>
    public PlugInIdentity Identity => OptionText.From(_options.AccuracySampling, "")
        .Aggregate(new PlugInIdentity("reward evaluator"), (identity, option) => identity.With(option.Key, option.Value))
        .With("prompts", PromptText.Describe(_prompts))
        .With("prompts.fields", PromptText.DescribeFields(_prompts))
        .With("seed", _options.AccuracySampling.Temperature > 0 ? _options.Seed : (ulong?)null)
        .WithPart("sampler", _sampler)
        .WithPart("reward", _reward);

    /// <inheritdoc/>
    /// <exception cref="RewardException">The reward function failed.</exception>
    /// <exception cref="InvalidOperationException">
    /// The sampler did not return the requested groups, or the lenient component is not 0, 1 or null.
    /// </exception>
    public async ValueTask<EvaluationReport> EvaluateAsync(IPolicy policy, CancellationToken cancellationToken = default)
    {
        IReadOnlyList<ScoredPrompt> single = await RunAsync(policy, 1, _options.AccuracySampling, cancellationToken).ConfigureAwait(false);
        IReadOnlyList<ScoredPrompt> sampled = _options.Samples == 0
            ? []
            : await RunAsync(
                policy, _options.Samples, _options.PassSampling ?? _options.AccuracySampling.ToGreedy() with { Temperature = 1 },
                cancellationToken)
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
