using Grpo.Diagnostics;

namespace Grpo;

/// <summary>
/// Evaluates with the training's own parts: completions of held-out prompts, scored by the reward function. One greedy completion per prompt
/// for accuracy and, when asked for, several sampled ones for pass@k and maj@k.
/// </summary>
/// <remarks>
/// The report is a function of weights, prompts, options and seed. All completions are kept in it; what the device holds at a time is
/// bounded by <see cref="SamplingOptions.MaxConcurrentSequences"/>.
/// </remarks>
public sealed class RewardEvaluator : IEvaluator
{
    private static readonly RewardOptions Scoring = new();

    private readonly IGroupSampler _sampler;
    private readonly IRewardFunction _reward;
    private readonly IReadOnlyList<Prompt> _prompts;
    private readonly EvaluationOptions _options;

    /// <summary>Measures accuracy.</summary>
    /// <param name="sampler">Samples the completions.</param>
    /// <param name="reward">Scores them; the same object as in training, so that both agree on what an answer is.</param>
    /// <param name="prompts">Held-out prompts; at least one.</param>
    /// <param name="sampling">Limits, and the temperature when not greedy. Null: greedy with the default limits.</param>
    /// <exception cref="ArgumentException">
    /// There are no prompts, the sampler would refuse some (<see cref="IPromptChecker"/>), or the options are out of range.
    /// </exception>
    public RewardEvaluator(IGroupSampler sampler, IRewardFunction reward, IReadOnlyList<Prompt> prompts, SamplingOptions? sampling = null)
        : this(sampler, reward, prompts, new EvaluationOptions { AccuracySampling = sampling ?? new SamplingOptions().ToGreedy() })
    {
    }

    /// <summary>Measures what the options ask for.</summary>
    /// <param name="sampler">Samples the completions.</param>
    /// <param name="reward">Scores them; the same object as in training, so that both agree on what an answer is.</param>
    /// <param name="prompts">Held-out prompts; at least one.</param>
    /// <param name="options">Copied: later changes have no effect.</param>
    /// <exception cref="ArgumentException">
    /// There are no prompts, the sampler would refuse some (<see cref="IPromptChecker"/>), or the options are out of range.
    /// </exception>
    public RewardEvaluator(IGroupSampler sampler, IRewardFunction reward, IReadOnlyList<Prompt> prompts, EvaluationOptions options)
    {
        ArgumentNullException.ThrowIfNull(sampler);
        ArgumentNullException.ThrowIfNull(reward);
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        _sampler = sampler;
        _reward = reward;
        _options = options.Copy();
        _prompts = prompts.Count > 0
            ? prompts
            : throw new ArgumentException("There are no prompts to evaluate on: the data set is empty.", nameof(prompts));
        if (sampler is IPromptChecker checker)
        {
            checker.CheckPrompts(prompts, _options.AccuracySampling);
            if (_options is { Samples: > 0, PassSampling: { } sampling })
            {
                checker.CheckPrompts(prompts, sampling);
            }
        }
    }

    /// <inheritdoc/>
    /// <exception cref="RewardException">The reward failed.</exception>
    /// <exception cref="InvalidOperationException">
    /// The sampler returned other prompts or numbers of completions than were asked for, or the lenient measure is neither 0 nor 1.
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
        ValueTask<IReadOnlyList<RolloutGroup>> sampled = await TensorThread.RunAsync(() => _sampler.SampleAsync(policy, request, cancellationToken)).ConfigureAwait(false);
        IReadOnlyList<RolloutGroup> groups = await sampled.ConfigureAwait(false);
        RequireWhatWasAskedFor(groups, count);
        RewardScores scores = await RewardScorer.ScoreAsync(_reward, groups, Scoring, cancellationToken).ConfigureAwait(false);
        return [.. groups.Zip(scores.Rewards, (group, rewards) => new ScoredPrompt(group, rewards))];
    }

    // A report on other prompts, or with a prompt that counts twice, would look like any other.
    private void RequireWhatWasAskedFor(IReadOnlyList<RolloutGroup> groups, int count)
    {
        string name = _sampler.GetType().Name;
        if (groups.Count != _prompts.Count)
        {
            throw new InvalidOperationException($"{name} returned {groups.Count} groups for {_prompts.Count} prompts; it must return one per prompt.");
        }

        for (int i = 0; i < groups.Count; i++)
        {
            if (groups[i].Prompt.Id != _prompts[i].Id || groups[i].Completions.Count != count)
            {
                throw new InvalidOperationException(
                    $"{name} returned {groups[i].Completions.Count} completions of prompt '{TerminalText.EscapeLine(groups[i].Prompt.Id)}' in place {i}; " +
                    $"it must return {count} of prompt '{TerminalText.EscapeLine(_prompts[i].Id)}' there.");
            }
        }
    }
}
