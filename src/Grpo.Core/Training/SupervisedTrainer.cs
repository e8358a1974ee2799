using System.Runtime.CompilerServices;
using Grpo.Checkpoints;
using Grpo.Modeling;
using Grpo.Optimization;
using Grpo.Rollouts;
using Grpo.Tensors;
using Grpo.Training;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using static TorchSharp.torch;

namespace Grpo;

/// <summary>
/// Trains a model to give known answers, token by token. Small models need this cold start: GRPO can only reinforce answers that they
/// sometimes give.
/// </summary>
/// <remarks>
/// The loss is the mean over all completion tokens of a step, including end tokens; prompt tokens have no loss. The examples of a step are
/// sorted by length before they are split into micro-batches, so that a small <see cref="SupervisedOptions.MicroBatchSize"/> wastes little
/// on padding. The examples of a step depend only on the seed and the step. A resumed run therefore equals an uninterrupted one, and a run
/// that differs from the one that wrote the checkpoint is refused.
/// </remarks>
public sealed class SupervisedTrainer
{
    private const string MomentsFile = "optimizer.safetensors";
    private const string StateFile = "supervised_state.json";
    private const double AdamEpsilon = 1e-8;
    private const string Member = $"{nameof(SupervisedTrainer)}.{nameof(RunAsync)}";

    private readonly IPolicy _policy;
    private readonly SupervisedOptions _options;
    private readonly LearningRateChoice _rate;
    private readonly ICheckpointStore? _checkpoints;
    private readonly TimeProvider _clock;
    private readonly ILogger _logger;
    private readonly TaskDescription? _task;
    private readonly TokenSequence[] _sequences;
    private readonly TokenSequence[] _heldOut;
    private readonly RunIdentity _identity;
    private readonly Lazy<SavedOptions> _savedOptions;

    /// <summary>Creates a trainer and encodes the examples.</summary>
    /// <param name="policy">The model to train. Borrowed.</param>
    /// <param name="data">The examples with the tokenizer and chat template of the model.</param>
    /// <param name="options">The options of training. Null uses the defaults.</param>
    /// <param name="services">The checkpoint store and the task description. Null uses none.</param>
    /// <param name="logger">
    /// The log of differences from the run that is resumed, and of a last checkpoint that could not be written. Null logs nothing.
    /// </param>
    /// <exception cref="ArgumentException">
    /// An option is out of range, there are no examples, some are longer than <see cref="SupervisedOptions.MaxTokens"/>, or the template
    /// closes an answer without an end token.
    /// </exception>
    /// <exception cref="InvalidOperationException">
    /// The template returned null, or the tokenizer returned null or an id beyond its vocabulary.
    /// </exception>
    public SupervisedTrainer(
        IPolicy policy, SupervisedData data, SupervisedOptions? options = null, SupervisedServices? services = null,
        ILogger<SupervisedTrainer>? logger = null)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(data.Tokenizer);
        ArgumentNullException.ThrowIfNull(data.Template);
        ArgumentNullException.ThrowIfNull(data.Examples);
        ArgumentNullException.ThrowIfNull(data.HeldOut);
        _policy = policy;
        _options = options ?? new SupervisedOptions();
        _rate = _options.ChooseLearningRate(policy.TrainsAdapter());
        _options = _options with { LearningRate = _rate.Rate };
        services ??= new SupervisedServices();
        _checkpoints = services.Checkpoints;
        _clock = services.Clock;
        _logger = logger ?? (ILogger)NullLogger.Instance;
        _task = services.Task;
        if (_options.Validate() is { Count: > 0 } problems)
        {
            throw new ArgumentException(string.Join(" ", problems), nameof(options));
        }

        if (data.Examples.Count == 0)
        {
            throw new ArgumentException("There are no examples to learn from.", nameof(data));
        }

        IReadOnlySet<int> endTokenIds = new PromptEncoder(data.Tokenizer, data.Template).EndTokenIds;
        _sequences = Encode(data.Examples, "examples");
        _heldOut = Encode(data.HeldOut, "held-out examples");
        _identity = new RunIdentity(policy, reference: null, ("tokenizer", data.Tokenizer), ("template", data.Template))
        {
            Trainer = nameof(SupervisedTrainer),
        };
        _savedOptions = new Lazy<SavedOptions>(() => SavedOptions.Create(_options, data.Examples, _identity));

        TokenSequence[] Encode(IReadOnlyList<SupervisedExample> set, string what)
        {
            TokenSequence[] sequences = [.. set.Select(example => SupervisedEncoder.Encode(example, data, endTokenIds))];
            (string Id, int Tokens)[] lengths =
                [.. set.Zip(
                    sequences, (example, sequence) => (example.Prompt.Id, sequence.PromptIds.Count + sequence.CompletionIds.Count))];
            return TokenCounts.FindProblem(what, lengths, nameof(SupervisedOptions.MaxTokens), _options.MaxTokens) is { } problem
                ? throw new ArgumentException(problem, nameof(data))
                : sequences;
        }
    }

    /// <summary>
    /// Trains and returns the report of each step as it is done. Starts from the newest checkpoint if there is one and
    /// <see cref="SupervisedOptions.Resume"/> is set.
    /// </summary>
    /// <param name="cancellationToken">
    /// A token that stops the run between two micro-batches. The current step is undone, and a checkpoint is written before the exception.
    /// </param>
    /// <remarks>
    /// However the run ends, even if the caller leaves the loop, the checkpoint of the last whole step is written, unless training diverged
    /// or a step failed half-way. If this write fails after another exception, the first exception is thrown and the second one logged. A
    /// second enumeration starts again at the first step, from the current weights.
    /// </remarks>
    /// <exception cref="TrainingDivergedException">
    /// The gradient is not finite, and the update was not applied; or weights or moments are not finite after the update.
    /// </exception>
    /// <exception cref="InvalidOperationException">Another run trains the same policy.</exception>
    /// <exception cref="InvalidDataException">
    /// The checkpoint is damaged or belongs to another run: the message names the file, or every option and part of the run that differs.
    /// </exception>
    /// <exception cref="IOException">Another run uses the folder of the checkpoints, or a checkpoint cannot be written.</exception>
    /// <exception cref="OperationCanceledException">The run was canceled.</exception>
    public async IAsyncEnumerable<SupervisedReport> RunAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        using IDisposable run = PolicyUse.BeginRun(_policy, Member);
        using IDisposable? claim = _checkpoints?.BeginRun();
        using var adam = new AdamW(
            _policy.TrainedParameters(), new AdamWOptions(Epsilon: AdamEpsilon, WeightDecay: _options.WeightDecay),
            _options.OptimizerMoments);
        var motion = new AdapterMotion(_policy, _rate, AdamEpsilon);
        var order = new PromptOrder(_sequences.Length, _options.Seed);
        _identity.Note();
        if (_checkpoints is not null)
        {
            _ = _savedOptions.Value; // a plug-in whose identity throws fails here, not at the first checkpoint
        }

        await ResumeAsync(adam, cancellationToken).ConfigureAwait(false);
        long whole = adam.Step, saved = adam.Step, savedAt = _clock.GetTimestamp();
        bool ended = false;
        try
        {
            while (adam.Step < _options.Steps)
            {
                SupervisedReport report;
                try
                {
                    TokenSequence[] batch = [.. order.At(adam.Step, _options.BatchSize).Select(index => _sequences[index])];
                    report = Step(adam, motion, batch, cancellationToken);
                    whole = adam.Step;
                    if (_heldOut.Length > 0 && IsDue(adam.Step, _options.EvaluateEvery))
                    {
                        report = report with { HeldOutLoss = MeasureHeldOutLoss(cancellationToken) };
                    }
                }
                catch (Exception exception)
                {
                    ended = true;
                    await SaveLastAsync(exception, cancellationToken).ConfigureAwait(false);
                    throw;
                }

                if (_checkpoints is not null && (IsDue(adam.Step, _options.CheckpointEvery) || IsTimeUp()))
                {
                    ended = true; // if the save throws, the last checkpoint is not tried again
                    report = report with { Checkpoint = await SaveAsync(_checkpoints, adam).ConfigureAwait(false) };
                    (saved, savedAt, ended) = (adam.Step, _clock.GetTimestamp(), false);
                }

                yield return report;
            }

            ended = true;
        }
        finally
        {
            if (!ended)
            {
                await SaveLastAsync(failure: null, cancellationToken).ConfigureAwait(false); // the caller has left the loop
            }
        }

        bool IsTimeUp() => _options.CheckpointInterval > TimeSpan.Zero && _clock.GetElapsedTime(savedAt) >= _options.CheckpointInterval;

        // A checkpoint is worth more than a quick exit. If it cannot be written, that surfaces only without an earlier failure.
        async Task SaveLastAsync(Exception? failure, CancellationToken token)
        {
            if (_checkpoints is null || adam.Step == saved)
            {
                return;
            }

            if (failure is TrainingDivergedException)
            {
                _logger.LastCheckpointLeftOut("the policy has diverged.");
                return;
            }

            if (adam.Step != whole)
            {
                _logger.LastCheckpointLeftOut("a step failed when a part of it was done, and what it has changed cannot be taken back.");
                return;
            }

            bool isCanceled = failure is OperationCanceledException && token.IsCancellationRequested;
            try
            {
                await SaveAsync(_checkpoints, adam).ConfigureAwait(false);
            }
            catch (Exception exception) when (failure is not null && !isCanceled)
            {
                _logger.LastCheckpointFailed(exception, adam.Step);
            }
        }
    }

    /// <summary>Measures the loss on the held-out examples.</summary>
    /// <param name="cancellationToken">A token that stops the measurement between two micro-batches.</param>
    /// <returns>The mean negative log-likelihood per completion token in nats, including end tokens.</returns>
    /// <exception cref="InvalidOperationException">There are no held-out examples.</exception>
    public double MeasureHeldOutLoss(CancellationToken cancellationToken = default)
    {
        if (_heldOut.Length == 0)
        {
            throw new InvalidOperationException("There are no held-out examples. Set SupervisedData.HeldOut.");
        }

        using IDisposable operation = PolicyUse.BeginOperation(_policy, $"{nameof(SupervisedTrainer)}.{nameof(MeasureHeldOutLoss)}");
        Device device = _policy.Device();
        double sum = 0;
        foreach (TokenSequence[] members in MicroBatches(_heldOut))
        {
            cancellationToken.ThrowIfCancellationRequested();
            using var scope = TensorScope.BeginNoGrad();
            TokenBatch micro = TokenBatchBuilder.Build(members, padTokenId: 0, device);
            sum -= DeviceTransfer.ToNumber<float>(CheckedLogProbs.Compute(_policy, micro, temperature: 1).sum());
        }

        return sum / CompletionTokens(_heldOut);
    }

    private SupervisedReport Step(AdamW adam, AdapterMotion motion, TokenSequence[] batch, CancellationToken cancellationToken)
    {
        using IDisposable operation = PolicyUse.BeginOperation(_policy, Member);
        long step = adam.Step;
        long tokens = CompletionTokens(batch);
        double loss = 0;
        Device device = _policy.Device();
        adam.ZeroGradients(); // gradients from a backward pass outside the trainer do not belong to this step
        try
        {
            foreach (TokenSequence[] members in MicroBatches(batch))
            {
                cancellationToken.ThrowIfCancellationRequested();
                using var scope = TensorScope.Begin();
                TokenBatch micro = TokenBatchBuilder.Build(members, padTokenId: 0, device);
                Tensor logProbs = _policy is IFusedLossPolicy fused
                    ? CheckedLogProbs.Fused(fused, micro, temperature: 1, own => full_like(own, -1.0 / tokens))
                    : CheckedLogProbs.Compute(_policy, micro, temperature: 1);
                Tensor share = -logProbs.sum() / tokens; // padding has log-probs of 0
                using PendingChecks checks = BackwardPass.RunWithoutChecks(share);
                float[] numbers = DeviceTransfer.ToArray<float>(cat([share.detach().reshape(1), .. checks.Numbers]));
                checks.Verify(numbers.AsSpan(1));
                loss += numbers[0];
            }

            double norm = adam.GradientNorm();
            if (!double.IsFinite(norm))
            {
                throw new TrainingDivergedException(FormattableString.Invariant(
                    $"The gradient norm of step {step + 1} is {norm}; the update was not applied. ")
                    + FormattableString.Invariant($"Lower LearningRate ({_rate.Rate})."));
            }

            double learningRate = LearningRate.At(_options.Schedule, _rate.Rate, step, _options.WarmupSteps, _options.Steps);
            double scale = Math.Min(1, _options.MaxGradientNorm / (norm + 1e-6));
            adam.Apply(learningRate, scale);
            string? warning = motion.Observe(learningRate, norm * scale);
            if (warning is not null)
            {
                _logger.AdapterDoesNotMove(step + 1, warning);
            }

            return new SupervisedReport(step + 1, loss, norm, learningRate, tokens) { AdapterWarning = warning };
        }
        finally
        {
            adam.ZeroGradients();
        }
    }

    private IEnumerable<TokenSequence[]> MicroBatches(TokenSequence[] sequences) =>
        MicroBatcher.Split(sequences, new MicroBatchLimits(_options.MicroBatchSize, _options.MaxTokensPerMicroBatch))
            .Select(members => members.Select(index => sequences[index]).ToArray());

    private static long CompletionTokens(TokenSequence[] sequences) => sequences.Sum(sequence => (long)sequence.CompletionIds.Count);

    private bool IsDue(long step, long every) => step == _options.Steps || (every > 0 && step % every == 0);

    private ValueTask<string> SaveAsync(ICheckpointStore store, AdamW adam) => CheckedServices.SaveAsync(store, adam.Step, directory =>
    {
        using IDisposable operation = PolicyUse.BeginOperation(_policy, Member);
        _policy.Save(directory);
        _task?.Write(directory);
        adam.Save(Path.Combine(directory, MomentsFile));
        new SupervisedState { Step = adam.Step, Seed = _options.Seed, BatchSize = _options.BatchSize, Examples = _sequences.Length }
            .Write(Path.Combine(directory, StateFile));
        _savedOptions.Value.Write(directory);
    });

    private async Task ResumeAsync(AdamW adam, CancellationToken cancellationToken)
    {
        if (!_options.Resume || _checkpoints is null ||
            await _checkpoints.FindLatestAsync(cancellationToken).ConfigureAwait(false) is not { } latest)
        {
            return;
        }

        string path = Path.Combine(latest, StateFile);
        SupervisedState state = SupervisedState.Read(path);
        state.RequireSameOrder(path, _options, _sequences.Length);
        ResumeCheck.Require(latest, _savedOptions.Value, _options.AllowOptionChanges, _logger);

        // Everything that can be checked is checked before the first weight changes.
        using IDisposable operation = PolicyUse.BeginOperation(_policy, Member);
        using SafetensorsReader moments = adam.OpenMoments(Path.Combine(latest, MomentsFile));
        _policy.Load(latest);
        adam.Load(moments, state.Step);
    }
}
