using System.Diagnostics;
using Grpo.Modeling;
using Grpo.Optimization;
using Grpo.Rollouts;
using Grpo.Scoring;
using Grpo.Tensors;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grpo;

/// <summary>
/// The GRPO optimizer, which trains a policy step by step: it samples groups of completions, scores them, computes advantages within
/// each group, and updates the policy.
/// </summary>
/// <remarks>
/// <para>The optimizer owns AdamW's moments and nothing else. The caller disposes the policy.</para>
/// <para>
/// Only one step runs at a time on a policy. A call during a step of this or another optimizer throws an
/// <see cref="InvalidOperationException"/>, and a call after <see cref="Dispose"/> an <see cref="ObjectDisposedException"/>.
/// </para>
/// <para>No tensor is alive between the stages of a step, so a reward may be slow and may resume on another thread.</para>
/// </remarks>
public sealed class GrpoOptimizer : IDisposable
{
    private readonly IPolicy _policy;
    private readonly CheckedSampler _sampler;
    private readonly IRewardFunction _reward;
    private readonly UpdateParts _parts;
    private readonly PolicyUpdater _updater;
    private readonly MicroBatchBudget _budget;
    private readonly RewardKl? _rewardKl;
    private readonly ReferenceSync? _referenceSync;
    private readonly OptimizerCheckpoint _checkpoint;
    private readonly ILogger _logger;
    private readonly LearningRateChoice _rate;
    private readonly OptimizerUse _use;
    private readonly PolicyVocabulary _vocabulary = new();
    private StepTimes? _times;

    /// <summary>Creates an optimizer without a log, and checks all options before anything is run.</summary>
    /// <param name="policy">The model to train.</param>
    /// <param name="sampler">The sampler, which samples a group of completions per prompt.</param>
    /// <param name="reward">The reward function, which scores the completions.</param>
    /// <param name="options">The options, which are copied; null for the defaults.</param>
    /// <param name="reference">
    /// The frozen reference model of the KL term. It is required if <see cref="GrpoOptions.KlCoefficient"/> is above 0.
    /// </param>
    /// <inheritdoc cref="GrpoOptimizer(GrpoPlugIns, GrpoOptions, ILogger{GrpoOptimizer})" path="/exception"/>
    public GrpoOptimizer(
        IPolicy policy, IGroupSampler sampler, IRewardFunction reward, GrpoOptions? options = null, IReferenceModel? reference = null)
        : this(new GrpoPlugIns(policy, sampler, reward) { Reference = reference }, options)
    {
    }

    /// <summary>Creates an optimizer from a record of plug-ins, and checks all options before anything is run.</summary>
    /// <param name="plugIns">The policy, the sampler, the reward function and the reference model.</param>
    /// <param name="options">The options, which are copied; null for the defaults.</param>
    /// <param name="logger">The logger; null for no log.</param>
    /// <exception cref="ArgumentException">One or more options are out of range; the message lists all of them.</exception>
    /// <exception cref="InvalidOperationException">
    /// The policy is random in training (<see cref="IStochasticPolicy.IsStochastic"/>), computes no entropies although the options need
    /// them (<see cref="IEntropyPolicy"/>), or has no trainable float32 parameters. Or the reference model is missing, or cannot be moved
    /// although <see cref="GrpoOptions.ReferenceSyncEvery"/> is set.
    /// </exception>
    public GrpoOptimizer(GrpoPlugIns plugIns, GrpoOptions? options = null, ILogger<GrpoOptimizer>? logger = null)
    {
        ArgumentNullException.ThrowIfNull(plugIns);
        (IPolicy policy, IGroupSampler sampler, IRewardFunction reward) = plugIns;
        IReferenceModel? reference = plugIns.Reference;
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(sampler);
        ArgumentNullException.ThrowIfNull(reward);
        options ??= new GrpoOptions();
        _rate = options.ChooseLearningRate(policy.TrainsAdapter());
        Options = options with { Sampling = options.Sampling with { }, Rewards = options.Rewards with { }, LearningRate = _rate.Rate };
        if (Options.Validate() is { Count: > 0 } problems)
        {
            throw new ArgumentException(string.Join(" ", problems), nameof(options));
        }

        GrpoOptionsValidator.RequirePlugIns(Options, policy, reference);
        TorchBackend.EnsureAvailable();
        _policy = policy;
        _sampler = new CheckedSampler(sampler);
        _reward = reward;
        _logger = logger ?? (ILogger)NullLogger.Instance;
        _budget = new MicroBatchBudget(Options, policy, _logger);
        _rewardKl = Options.HasKlInReward ? new RewardKl(policy, reference!, Options, _budget) : null;
        _referenceSync = Options.ReferenceSyncEvery is null ? null : new ReferenceSync(policy, reference!, Options);
        _parts = new UpdateParts(
            new AdamW(policy.TrainedParameters(), AdamWOptions.From(Options), Options.OptimizerMoments),
            new KlControl(Options),
            new GradientSpikes(Options.GradientSpikeFactor),
            new AdapterMotion(policy, _rate, Options.AdamEpsilon));
        _updater = new PolicyUpdater(policy, reference, Options, _parts, _budget);
        _checkpoint = new OptimizerCheckpoint(policy, _parts, _referenceSync, Options.Seed);
        Identity = new RunIdentity(policy, Options.KlCoefficient == 0 ? null : reference, ("sampler", sampler), ("reward", reward));
        _use = new OptimizerUse(this, _parts.Adam.Dispose);
    }

    /// <summary>
    /// The options of this optimizer: a copy of those that its constructor received. <see cref="GrpoOptions.LearningRate"/> is always set
    /// in it.
    /// </summary>
    public GrpoOptions Options { get; }

    /// <summary>The model that this optimizer trains.</summary>
    public IPolicy Policy => _policy;

    /// <summary>The number of completed steps.</summary>
    public long Step { get; internal set; }

    /// <summary>The identity of the plug-ins, which checkpoints hold.</summary>
    internal RunIdentity Identity { get; }

    /// <summary>True if no step has failed halfway, so that weights and moments are those after <see cref="Step"/> steps.</summary>
    internal bool IsWhole { get; private set; } = true;

    /// <summary>Throws an exception if the sampler already knows that it would refuse one of these prompts.</summary>
    internal void CheckPrompts(IReadOnlyList<Prompt> prompts) => _sampler.CheckPrompts(prompts, Options.Sampling);

    /// <summary>
    /// Computes the plan of the run from options and policy: sizes, methods, and memory. Print it before the first step.
    /// </summary>
    /// <returns>The plan; after the first step it also contains the measured times.</returns>
    /// <exception cref="ObjectDisposedException">The optimizer was disposed.</exception>
    public TrainingPlan Explain()
    {
        _use.RequireAlive();
        return TrainingPlanBuilder.Build(Options, _policy, _rate) with { StepTimes = _times };
    }

    /// <summary>Runs one training step: samples a group per prompt, scores all completions, and updates the policy.</summary>
    /// <param name="prompts">The prompts of the step. At least one.</param>
    /// <param name="cancellationToken">
    /// The token that stops the step with an <see cref="OperationCanceledException"/>. The weights are then those before the step.
    /// </param>
    /// <returns>The report of the step.</returns>
    /// <exception cref="RewardException">A reward failed and <see cref="RewardOptions.OnError"/> says to throw.</exception>
    /// <exception cref="TrainingDivergedException">
    /// Logits, log-probs, loss or gradient are not finite, and the update was not applied. Or the update left weights or
    /// moments that are not finite.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The optimizer or the policy was disposed.</exception>
    /// <exception cref="InvalidOperationException">
    /// The sampler's log-probs contradict the policy's (<see cref="LogProbDifference.LargestMean"/>), or a single completion does not fit
    /// into memory; nothing was applied. Or another operation is running on the policy, or a plug-in returned an invalid result.
    /// </exception>
    public Task<StepReport> StepAsync(IReadOnlyList<Prompt> prompts, CancellationToken cancellationToken = default) =>
        StepAsync(prompts, reserve: [], cancellationToken);

    /// <summary>
    /// Runs one training step with dynamic sampling: groups that teach nothing are replaced by groups of prompts from a reserve.
    /// </summary>
    /// <param name="prompts">The prompts of the step. At least one.</param>
    /// <param name="reserve">
    /// The prompts of the replacements, which are used in this order in up to <see cref="GrpoOptions.MaxSamplingRounds"/> rounds. With one
    /// round they are not read.
    /// </param>
    /// <param name="cancellationToken">
    /// The token that stops the step with an <see cref="OperationCanceledException"/>. The weights are then those before the step.
    /// </param>
    /// <remarks>
    /// DAPO, arXiv:2503.14476, section 3.2. If rounds or reserve run out, groups without a signal fill the step up again, so that its
    /// denominators do not depend on chance. Rewards, lengths and accuracy in the report are over everything that was sampled.
    /// </remarks>
    /// <inheritdoc cref="StepAsync(IReadOnlyList{Prompt}, CancellationToken)"/>
    public Task<StepReport> StepAsync(
        IReadOnlyList<Prompt> prompts, IReadOnlyList<Prompt> reserve, CancellationToken cancellationToken = default) =>
        StepAsync(prompts, reserve, observers: [], cancellationToken);

    /// <summary>Runs one training step and passes its intermediate results to observers, which change nothing.</summary>
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
        for (int used = 0, round = 1; ; round++)
        {
            TimeSpan start = clock.Elapsed;
            IReadOnlyList<RolloutGroup> groups = await SampleAsync(next, cancellationToken).ConfigureAwait(false);
            rolloutTime += clock.Elapsed - start;
            sampled.Add(groups, await ScoreRewardsAsync(groups, cancellationToken).ConfigureAwait(false));
            int wanted = Math.Min(sampled.Missing, reserve.Count - used);
            if (round >= Options.MaxSamplingRounds || wanted <= 0)
            {
                break;
            }

            next = [.. reserve.Skip(used).Take(wanted)];
            used += wanted;
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

    /// <summary>Runs the first stage of the next step: samples a group of completions per prompt.</summary>
    /// <param name="prompts">The prompts of the step. At least one.</param>
    /// <param name="cancellationToken">The token that stops sampling between two tokens.</param>
    /// <returns>One group per prompt, in the order of the prompts.</returns>
    /// <exception cref="ObjectDisposedException">The optimizer was disposed.</exception>
    /// <exception cref="InvalidOperationException">
    /// The sampler returned groups that do not match the request, or another operation is running on the policy.
    /// </exception>
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

    /// <summary>Runs the second stage of a step: computes rewards and advantages.</summary>
    /// <param name="groups">The groups to score, from <see cref="RolloutAsync"/> or from a sampler of your own.</param>
    /// <param name="cancellationToken">The token that stops waiting for the rewards.</param>
    /// <returns>The groups with rewards and advantages, which <see cref="Update(ScoredStep, CancellationToken)"/> takes.</returns>
    /// <exception cref="ArgumentException">A group is invalid, for example because of a token id outside the vocabulary.</exception>
    /// <exception cref="RewardException">A reward failed and <see cref="RewardOptions.OnError"/> says to throw.</exception>
    /// <exception cref="ObjectDisposedException">The optimizer was disposed.</exception>
    /// <exception cref="InvalidOperationException">Another operation is running on the policy.</exception>
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

    /// <summary>Runs the third stage of a step: trains the policy on scored groups and counts the step.</summary>
    /// <param name="step">The scored groups, from <see cref="ScoreAsync"/>.</param>
    /// <param name="cancellationToken">
    /// The token that stops the update before its first optimizer step, while the weights are unchanged. Later it has no effect.
    /// </param>
    /// <returns>
    /// One report per optimizer step, including skipped ones. Empty if every advantage is 0 and the loss has neither a KL term
    /// nor an entropy bonus; weights and moments are then unchanged.
    /// </returns>
    /// <exception cref="ArgumentException">A group is invalid or does not have one reward and one advantage per completion.</exception>
    /// <exception cref="TrainingDivergedException">
    /// Log-probs, loss or gradient are not finite, and the update was not applied. Or the update left weights or moments
    /// that are not finite.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The optimizer or the policy was disposed.</exception>
    /// <exception cref="InvalidOperationException">
    /// The sampler's log-probs contradict the policy's (<see cref="LogProbDifference.LargestMean"/>), or a single completion does not fit
    /// into memory; nothing was applied. Or another operation is running on the policy, or a plug-in returned an invalid result.
    /// </exception>
    public IReadOnlyList<UpdateReport> Update(ScoredStep step, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(step);
        ArgumentNullException.ThrowIfNull(step.Groups, nameof(step));
        using IDisposable operation = _use.Begin();
        RequireWhole();
        step.RequireValid(
            () => new RolloutCheck(_policy.GetType().Name, _vocabulary.FindAsync(_policy).GetAwaiter().GetResult()), nameof(step));
        Identity.Note();
        return Apply(step, observers: [], cancellationToken);
    }

    /// <summary>
    /// Runs the third stage of a step on groups that were scored elsewhere: trains the policy on them and counts the step.
    /// </summary>
    /// <param name="groups">The groups with one reward and one advantage per completion.</param>
    /// <param name="cancellationToken">
    /// The token that stops the update before its first optimizer step, while the weights are unchanged. Later it has no effect.
    /// </param>
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
            double coefficient = _parts.Kl.Coefficient;
            updates = [.. updates.Select(update => update with { Kl = measured, KlCoefficient = coefficient })];
        }

        if (updates.Count > 0 && updates[0].Kl is not null)
        {
            _parts.Kl.Observe(updates.Average(update => update.Kl!.Value));
        }

        foreach (string reason in updates.Select(update => update.SkipReason).OfType<string>())
        {
            _logger.UpdateSkipped(Step, reason);
        }

        foreach (string warning in updates.Select(update => update.AdapterWarning).OfType<string>())
        {
            _logger.AdapterDoesNotMove(Step, warning);
        }

        if (IsReferenceMove(Step))
        {
            _logger.ReferenceMoved(Step, Options.ReferenceSyncMix);
        }

        return updates;
    }

    /// <summary>
    /// Saves policy, moments and counters in an existing folder. With equal options, a run that loads them continues exactly.
    /// </summary>
    /// <param name="directory">The path of the folder.</param>
    /// <exception cref="ObjectDisposedException">The optimizer was disposed.</exception>
    /// <exception cref="InvalidOperationException">
    /// An earlier step failed after some of its updates were applied, or another operation is running on the policy.
    /// </exception>
    public void Save(string directory)
    {
        using IDisposable operation = _use.BeginSave();
        RequireWhole();
        _checkpoint.Save(directory, Step);
    }

    /// <summary>Loads policy, moments and counters from a folder that <see cref="Save"/> wrote.</summary>
    /// <param name="directory">The path of the folder.</param>
    /// <exception cref="FileNotFoundException">The folder contains no training state.</exception>
    /// <exception cref="InvalidDataException">The folder contains another format, seed or model; nothing was changed.</exception>
    /// <exception cref="ObjectDisposedException">The optimizer was disposed.</exception>
    /// <exception cref="InvalidOperationException">Another operation is running on the policy.</exception>
    public void Load(string directory)
    {
        using IDisposable operation = _use.Begin();
        Identity.Note();
        Step = _checkpoint.Load(directory);
        IsWhole = true;
    }

    /// <summary>Requires that no step has failed after some of its updates were applied.</summary>
    /// <exception cref="InvalidOperationException">A step has failed halfway.</exception>
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
    /// Frees AdamW's moments and leaves the policy alone. If a step is running, the moments are freed when it ends. A running
    /// <see cref="GrpoTrainer"/> fails at its next step and then writes its last checkpoint.
    /// </summary>
    public void Dispose() => _use.Dispose();

    /// <summary>Claims the policy for a training run.</summary>
    /// <param name="member">The name of the run for messages.</param>
    /// <returns>The claim, which ends when it is disposed.</returns>
    internal IDisposable BeginRun(string member) => _use.BeginRun(member);

    // A failure before the first update leaves everything as it was before the step. A later failure leaves half a step.
    private IReadOnlyList<UpdateReport> RunUpdates(
        IReadOnlyList<ScoredGroup> groups, IReadOnlyList<IStepObserver> observers, CancellationToken cancellationToken)
    {
        long applied = _parts.Adam.Step;
        IReadOnlyList<double> norms = _parts.Spikes.State;
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
            IsWhole = _parts.Adam.Step == applied && !moving;
            _parts.Spikes.Restore(norms);
            throw;
        }
    }

    private bool IsReferenceMove(long step) => Options.ReferenceSyncEvery is { } every && step % every == 0;

    private IReadOnlyDictionary<string, double>? RewardWeights => (_reward as IWeightedReward)?.PartWeights;

    private (IReadOnlyList<ScoredGroup> All, ScoredStep Chosen) Advantages(SampledGroups sampled, CancellationToken cancellationToken)
    {
        RewardKl.Shaped? shaped = _rewardKl is null
            ? null
            : TensorThread.Run(() => _rewardKl.Shape(sampled.Groups, sampled.Rewards, _parts.Kl.Coefficient, cancellationToken));
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
