using System.Diagnostics;
using Grpo.Modeling;
using Grpo.Optimization;
using Grpo.Planning;
using Grpo.Rollouts;
using Grpo.Scoring;
using Grpo.Tensors;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grpo;

/// <summary>
/// One GRPO training step from the four plug-ins: sample groups, score them, compare each group with itself, update the policy.
/// </summary>
/// <remarks>
/// Owns AdamW's moments and nothing else; who created the policy disposes it. One step at a time: what is called while a step runs on the
/// same policy, by this optimizer or another one, is refused with an <see cref="InvalidOperationException"/>, and what is called after
/// <see cref="Dispose"/> with an <see cref="ObjectDisposedException"/>.
/// Between the stages no tensor is alive, so a reward may take its time and may resume on another thread.
/// </remarks>
public sealed class GrpoOptimizer : IDisposable
{
    private readonly IPolicy _policy;
    private readonly CheckedSampler _sampler;
    private readonly IRewardFunction _reward;
    private readonly AdamW _adam;
    private readonly PolicyUpdater _updater;
    private readonly MicroBatchBudget _budget;
    private readonly KlControl _kl;
    private readonly GradientSpikes _spikes;
    private readonly RewardKl? _rewardKl;
    private readonly ReferenceSync? _referenceSync;
    private readonly OptimizerCheckpoint _checkpoint;
    private readonly ILogger _logger;
    private readonly OptimizerUse _use;
    private readonly PolicyVocabulary _vocabulary = new();
    private StepTimes? _times;

    /// <summary>Wires the plug-ins. All options are checked here, before anything is run.</summary>
    /// <param name="policy">The model to train.</param>
    /// <param name="sampler">Samples the groups.</param>
    /// <param name="reward">Scores them.</param>
    /// <param name="options">Null: the defaults. Later changes to the object have no effect.</param>
    /// <param name="reference">The frozen model of the KL term; needed when <see cref="GrpoOptions.KlCoefficient"/> is above 0.</param>
    /// <param name="logger">Null: no log.</param>
    /// <exception cref="ArgumentException">An option is out of range; the message lists all of them.</exception>
    /// <exception cref="InvalidOperationException">
    /// The policy is random in training (<see cref="IStochasticPolicy.IsStochastic"/>), computes no entropies although the options need
    /// them (<see cref="IEntropyPolicy"/>), or has no trainable float32 parameters. Or the KL term has no reference model, or the reference
    /// cannot be moved although <see cref="GrpoOptions.ReferenceSyncEvery"/> asks for it.
    /// </exception>
    public GrpoOptimizer(
        IPolicy policy, IGroupSampler sampler, IRewardFunction reward, GrpoOptions? options = null,
        IReferenceModel? reference = null, ILogger<GrpoOptimizer>? logger = null)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(sampler);
        ArgumentNullException.ThrowIfNull(reward);
        options ??= new GrpoOptions();
        Options = options with { Sampling = options.Sampling with { }, Rewards = options.Rewards with { } };
        if (Options.Validate() is { Count: > 0 } problems)
        {
            throw new ArgumentException(string.Join(" ", problems), nameof(options));
        }

        if (policy is IStochasticPolicy { IsStochastic: true })
        {
            throw new InvalidOperationException(
                $"{policy.GetType().Name} is random in training (dropout): its ratios to the sampled log-probs would be noise. "
                + "Switch dropout off for GRPO; SupervisedTrainer can use it.");
        }

        if (Options.NeedsEntropies && policy is not IEntropyPolicy)
        {
            throw new InvalidOperationException(
                $"{policy.GetType().Name} computes no entropies. Implement IEntropyPolicy, or set EntropyCoefficient to 0 and "
                + "TopEntropyFraction to 1.");
        }

        if (Options.KlCoefficient != 0 && reference is null)
        {
            throw new InvalidOperationException(
                FormattableString.Invariant(
                    $"KlCoefficient is {Options.KlCoefficient} but no reference model was given. Pass one, or set KlCoefficient to 0."));
        }

        TorchBackend.EnsureAvailable();
        _policy = policy;
        _sampler = new CheckedSampler(sampler);
        _reward = reward;
        _logger = logger ?? (ILogger)NullLogger.Instance;
        _budget = new MicroBatchBudget(Options, policy, _logger);
        _rewardKl = Options.HasKlInReward ? new RewardKl(policy, reference!, Options, _budget) : null;
        _referenceSync = Options.ReferenceSyncEvery is null ? null : new ReferenceSync(policy, reference!, Options);
        _kl = new KlControl(Options);
        _spikes = new GradientSpikes(Options.GradientSpikeFactor);
        _adam = new AdamW(policy.TrainedParameters(), AdamWOptions.From(Options), Options.OptimizerMoments);
        _updater = new PolicyUpdater(policy, reference, _adam, Options, _kl, _spikes, _budget);
        _checkpoint = new OptimizerCheckpoint(policy, _adam, _referenceSync, _kl, _spikes, Options.Seed);
        Identity = new RunIdentity(policy, Options.KlCoefficient == 0 ? null : reference, ("sampler", sampler), ("reward", reward));
        _use = new OptimizerUse(this, _adam.Dispose);
    }

    /// <summary>The options in force: a copy of those given.</summary>
    public GrpoOptions Options { get; }

    /// <summary>The policy.</summary>
    public IPolicy Policy => _policy;

    /// <summary>Steps done.</summary>
    public long Step { get; internal set; }

    /// <summary>The identity of the plug-ins, which checkpoints hold.</summary>
    internal RunIdentity Identity { get; }

    /// <summary>True if weights and moments are those after <see cref="Step"/> steps: no step has failed half-way.</summary>
    internal bool IsWhole { get; private set; } = true;

    /// <summary>Throws when the sampler can tell that it would refuse one of these prompts.</summary>
    internal void CheckPrompts(IReadOnlyList<Prompt> prompts) => _sampler.CheckPrompts(prompts, Options.Sampling);

    /// <summary>
    /// What the options amount to: print it before anything is run. After the first step it also says how long a step takes.
    /// </summary>
    public TrainingPlan Explain()
    {
        _use.RequireAlive();
        return TrainingPlanBuilder.Build(Options, _policy) with { StepTimes = _times };
    }

    /// <summary>Runs one step: rollout, score, update.</summary>
    /// <param name="prompts">The prompts of the step.</param>
    /// <param name="cancellationToken">
    /// Stops with an <see cref="OperationCanceledException"/>; the weights are then those before the step.
    /// </param>
    /// <exception cref="RewardException">A reward failed and <see cref="RewardOptions.OnError"/> says to throw.</exception>
    /// <exception cref="TrainingDivergedException">
    /// Logits, log-probs, loss or gradient are not finite, and the update was not applied. Or the update left weights or
    /// moments that are not finite.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The optimizer or the policy was disposed.</exception>
    /// <exception cref="InvalidOperationException">
    /// The sampler's log-probs contradict the policy's (<see cref="LogProbDifference.LargestMean"/>), or a single completion does not fit
    /// into memory; nothing was applied. Or something else is at work on the policy, or a plug-in answered wrongly.
    /// </exception>
    public Task<StepReport> StepAsync(IReadOnlyList<Prompt> prompts, CancellationToken cancellationToken = default) =>
        StepAsync(prompts, reserve: [], cancellationToken);

    /// <summary>The same with dynamic sampling: groups that teach nothing are replaced by groups of further prompts.</summary>
    /// <param name="prompts">The prompts of the step.</param>
    /// <param name="reserve">
    /// Drawn from in this order, in up to <see cref="GrpoOptions.MaxSamplingRounds"/> rounds; not read when that is 1.
    /// </param>
    /// <param name="cancellationToken">
    /// Stops with an <see cref="OperationCanceledException"/>; the weights are then those before the step.
    /// </param>
    /// <remarks>
    /// DAPO, arXiv:2503.14476, section 3.2. When rounds or reserve run out, groups without a signal fill the step up again, so that its
    /// denominators do not depend on luck. Rewards, lengths and accuracy in the report are of everything that was sampled.
    /// </remarks>
    public Task<StepReport> StepAsync(
        IReadOnlyList<Prompt> prompts, IReadOnlyList<Prompt> reserve, CancellationToken cancellationToken = default) =>
        StepAsync(prompts, reserve, observers: [], cancellationToken);

    /// <summary>Runs one step under the eyes of observers, which change nothing.</summary>
    internal async Task<StepReport> StepAsync(
        IReadOnlyList<Prompt> prompts, IReadOnlyList<Prompt> reserve, IReadOnlyList<IStepObserver> observers,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        ArgumentNullException.ThrowIfNull(reserve);
        using IDisposable operation = _use.Begin();
        RequireWhole();
        Identity.Note();
        var clock = Stopwatch.StartNew();
        TimeSpan rolloutTime = TimeSpan.Zero;
        int splits = _budget.Splits;
        var sampled = new SampledGroups(Options.Advantage, RewardWeights, prompts.Count);
        IReadOnlyList<Prompt> next = prompts;
        for (int drawn = 0, round = 1; ; round++)
        {
            TimeSpan start = clock.Elapsed;
            IReadOnlyList<RolloutGroup> groups = await SampleAsync(next, cancellationToken).ConfigureAwait(false);
            rolloutTime += clock.Elapsed - start;
            sampled.Add(groups, await ScoreRewardsAsync(groups, cancellationToken).ConfigureAwait(false));
            int wanted = Math.Min(sampled.Missing, reserve.Count - drawn);
            if (round >= Options.MaxSamplingRounds || wanted <= 0)
            {
                break;
            }

            next = [.. reserve.Skip(drawn).Take(wanted)];
            drawn += wanted;
        }

        (IReadOnlyList<ScoredGroup> all, ScoredStep chosen) = Advantages(sampled, cancellationToken);
        TimeSpan scoringEnd = clock.Elapsed;
        IReadOnlyList<UpdateReport> updates = Apply(chosen, observers, cancellationToken);
        StepReport report = StepStatistics.Report(Step, all, sampled.Errors, updates) with
        {
            SamplingRounds = sampled.Rounds.Count,
            ReplacedGroups = all.Count - chosen.Groups.Count,
            MicroBatchSplits = _budget.Splits - splits,
            MicroBatchTokens = _budget.Imposed,
            RolloutTime = rolloutTime,
            ScoringTime = scoringEnd - rolloutTime,
            UpdateTime = clock.Elapsed - scoringEnd,
            ReferenceMoved = IsReferenceMove(Step),
        };
        foreach (IStepObserver observer in observers)
        {
            observer.OnDone(new ObservedStep(Step, sampled.Rounds, all, chosen.Groups, updates)
            {
                MicroBatchTokens = _budget.Imposed,
                RewardWeights = RewardWeights,
            });
        }

        _times = StepTimes.Add(_times, report);
        GrpoDiagnostics.Record(report);
        _logger.StepDone(report.Step, report.MeanReward, report.MeanCompletionTokens, clock.Elapsed.TotalSeconds);
        return report;
    }

    /// <summary>First stage: samples a group per prompt for the step that comes next.</summary>
    /// <param name="prompts">The prompts.</param>
    /// <param name="cancellationToken">Stops between two tokens.</param>
    /// <exception cref="InvalidOperationException">The sampler returned something else than was asked for.</exception>
    public async Task<IReadOnlyList<RolloutGroup>> RolloutAsync(
        IReadOnlyList<Prompt> prompts, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(prompts);
        using IDisposable operation = _use.Begin();
        return await SampleAsync(prompts, cancellationToken).ConfigureAwait(false);
    }

    private async Task<IReadOnlyList<RolloutGroup>> SampleAsync(IReadOnlyList<Prompt> prompts, CancellationToken cancellationToken)
    {
        if (prompts.Count == 0)
        {
            throw new ArgumentException("A step needs at least one prompt.", nameof(prompts));
        }

        using Activity? activity = GrpoDiagnostics.Source.StartActivity("grpo.rollout");
        var request = new RolloutRequest
        {
            Prompts = prompts,
            GroupSize = Options.GroupSize,
            Sampling = Options.Sampling,
            Seed = Options.Seed,
            Step = Step,
        };
        return await _sampler.SampleAsync(_policy, request, cancellationToken).ConfigureAwait(false);
    }

    /// <summary>Second stage: rewards and advantages.</summary>
    /// <param name="groups">The rollouts.</param>
    /// <param name="cancellationToken">Ends the wait.</param>
    public async Task<ScoredStep> ScoreAsync(IReadOnlyList<RolloutGroup> groups, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(groups);
        using IDisposable operation = _use.Begin();
        new RolloutCheck(_policy.GetType().Name, await _vocabulary.FindAsync(_policy).ConfigureAwait(false))
            .RequireGroups(groups, nameof(groups));
        var sampled = new SampledGroups(Options.Advantage, RewardWeights, groups.Count);
        sampled.Add(groups, await ScoreRewardsAsync(groups, cancellationToken).ConfigureAwait(false));
        (IReadOnlyList<ScoredGroup> all, ScoredStep chosen) = Advantages(sampled, cancellationToken);
        return chosen with { Groups = all };
    }

    /// <summary>Third stage: the optimizer steps of the round. Counts as a step.</summary>
    /// <param name="step">The scored groups.</param>
    /// <param name="cancellationToken">Heeded until the first optimizer step is applied; the weights are then untouched.</param>
    /// <returns>
    /// One report per optimizer step, those that were skipped included; none when every advantage is 0 and the loss has neither a KL term
    /// nor an entropy bonus: then weights and moments are not touched.
    /// </returns>
    /// <exception cref="TrainingDivergedException">
    /// Log-probs, loss or gradient are not finite, and the update was not applied. Or the update left weights or moments
    /// that are not finite.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The optimizer or the policy was disposed.</exception>
    /// <exception cref="InvalidOperationException">
    /// The sampler's log-probs contradict the policy's (<see cref="LogProbDifference.LargestMean"/>), or a single completion does not fit
    /// into memory; nothing was applied. Or something else is at work on the policy, or a plug-in answered wrongly.
    /// </exception>
    public IReadOnlyList<UpdateReport> Update(ScoredStep step, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(step);
        ArgumentNullException.ThrowIfNull(step.Groups, nameof(step));
        using IDisposable operation = _use.Begin();
        RequireWhole();
        RequireScored(step.Groups, nameof(step));
        Identity.Note();
        return Apply(step, observers: [], cancellationToken);
    }

    /// <summary>Runs the third stage on groups that were scored elsewhere.</summary>
    /// <param name="groups">The scored groups.</param>
    /// <param name="cancellationToken">Heeded until the first optimizer step is applied; the weights are then untouched.</param>
    /// <inheritdoc cref="Update(ScoredStep, CancellationToken)"/>
    public IReadOnlyList<UpdateReport> Update(IReadOnlyList<ScoredGroup> groups, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(groups);
        return Update(new ScoredStep(groups), cancellationToken);
    }

    private IReadOnlyList<UpdateReport> Apply(ScoredStep step, IReadOnlyList<IStepObserver> observers, CancellationToken cancellationToken)
    {
        using Activity? activity = GrpoDiagnostics.Source.StartActivity("grpo.update");
        IReadOnlyList<UpdateReport> updates = RunUpdates(step.Groups, observers, cancellationToken);
        Step++;
        if (updates.Count == 0)
        {
            _logger.NothingLearned(Step);
        }
        else if (step.Kl is { } measured)
        {
            double coefficient = _kl.Coefficient;
            updates = [.. updates.Select(update => update with { Kl = measured, KlCoefficient = coefficient })];
        }

        if (updates.Count > 0 && updates[0].Kl is not null)
        {
            _kl.Observe(updates.Average(update => update.Kl!.Value));
        }

        foreach (string reason in updates.Select(update => update.SkipReason).OfType<string>())
        {
            _logger.UpdateSkipped(Step, reason);
        }

        if (IsReferenceMove(Step))
        {
            _logger.ReferenceMoved(Step, Options.ReferenceSyncMix);
        }

        return updates;
    }

    /// <summary>
    /// Writes policy, moments and counters into an existing folder; with the same options <see cref="Load"/> continues exactly.
    /// </summary>
    /// <param name="directory">The folder.</param>
    /// <exception cref="InvalidOperationException">A step has failed after a part of it was applied.</exception>
    public void Save(string directory)
    {
        using IDisposable operation = _use.BeginSave();
        RequireWhole();
        _checkpoint.Save(directory, Step);
    }

    /// <summary>Restores what <see cref="Save"/> wrote.</summary>
    /// <param name="directory">The folder.</param>
    /// <exception cref="InvalidDataException">The folder holds another format, seed or model; nothing was changed.</exception>
    public void Load(string directory)
    {
        using IDisposable operation = _use.Begin();
        Identity.Note();
        Step = _checkpoint.Load(directory);
        IsWhole = true;
    }

    /// <summary>Refuses to go on from weights and moments that belong to no whole step.</summary>
    /// <exception cref="InvalidOperationException">A step has failed after a part of it was applied.</exception>
    internal void RequireWhole()
    {
        if (!IsWhole)
        {
            throw new InvalidOperationException(
                $"Step {Step + 1} failed after some of its updates were applied, so weights and moments are those of no whole step. "
                + "Load a checkpoint into the optimizer, or make policy and optimizer anew.");
        }
    }

    /// <summary>
    /// Frees the moments. The policy stays. A step that is under way ends first, and so does a <see cref="GrpoTrainer"/>'s run: its next
    /// step throws, and its last checkpoint is written.
    /// </summary>
    public void Dispose() => _use.Dispose();

    /// <summary>Claims the policy for a training run, until the result is disposed.</summary>
    /// <param name="member">The run, for messages.</param>
    internal IDisposable BeginRun(string member) => _use.BeginRun(member);

    // A failure before the first update was applied leaves everything as it was before the step; a later one leaves half a step.
    private IReadOnlyList<UpdateReport> RunUpdates(
        IReadOnlyList<ScoredGroup> groups, IReadOnlyList<IStepObserver> observers, CancellationToken cancellationToken)
    {
        long applied = _adam.Step;
        IReadOnlyList<double> norms = _spikes.State;
        bool moving = false;
        try
        {
            IReadOnlyList<UpdateReport> updates = TensorThread.Run(() => _updater.Update(groups, observers, cancellationToken));
            moving = IsReferenceMove(Step + 1);
            if (moving)
            {
                _referenceSync!.Move();
            }

            return updates;
        }
        catch
        {
            IsWhole = _adam.Step == applied && !moving;
            _spikes.Restore(norms);
            throw;
        }
    }

    // Groups that a caller made. Those of a step were checked when they were sampled.
    private void RequireScored(IReadOnlyList<ScoredGroup> groups, string parameter)
    {
        if (groups.Any(scored => scored is null))
        {
            throw new ArgumentException("A scored group is null.", parameter);
        }

        int? vocabulary = _vocabulary.FindAsync(_policy).GetAwaiter().GetResult();
        new RolloutCheck(_policy.GetType().Name, vocabulary).RequireGroups(groups.Select(scored => scored.Group), parameter);
        foreach (ScoredGroup scored in groups)
        {
            int count = scored.Group.Completions.Count;
            if (scored.Rewards?.Count != count || scored.Advantages?.Count != count)
            {
                throw new ArgumentException(FormattableString.Invariant(
                    $"A group of {count} completions has {scored.Rewards?.Count ?? 0} rewards and {scored.Advantages?.Count ?? 0} ")
                    + "advantages; there must be one each per completion.",
                    parameter);
            }
        }
    }

    private bool IsReferenceMove(long step) => Options.ReferenceSyncEvery is { } every && step % every == 0;

    private IReadOnlyDictionary<string, double>? RewardWeights => (_reward as IWeightedReward)?.PartWeights;

    private (IReadOnlyList<ScoredGroup> All, ScoredStep Chosen) Advantages(SampledGroups sampled, CancellationToken cancellationToken)
    {
        RewardKl.Shaped? shaped = _rewardKl is null
            ? null
            : TensorThread.Run(() => _rewardKl.Shape(sampled.Groups, sampled.Rewards, _kl.Coefficient, cancellationToken));
        (IReadOnlyList<ScoredGroup> all, IReadOnlyList<ScoredGroup> chosen) = sampled.Score(shaped?.Rewards);
        return (all, new ScoredStep(chosen) { Kl = shaped?.Kl });
    }

    private async Task<RewardScores> ScoreRewardsAsync(IReadOnlyList<RolloutGroup> groups, CancellationToken cancellationToken)
    {
        using Activity? activity = GrpoDiagnostics.Source.StartActivity("grpo.score");
        RewardScores scores = await RewardScorer.ScoreAsync(_reward, groups, Options.Rewards, cancellationToken).ConfigureAwait(false);
        if (scores.FirstError is { } error)
        {
            _logger.RewardFailed(scores.Errors, error.Message);
        }

        int abstained = scores.Rewards.Sum(group => group.Count(reward => reward.Value is null));
        if (abstained > 0)
        {
            _logger.RewardAbstained(_reward.Name, abstained, scores.Rewards.Sum(group => group.Count));
        }

        return scores;
    }
}
