using System.Diagnostics;
using System.Runtime.CompilerServices;
using Grpo.Diagnostics;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grpo;

/// <summary>The loop around a <see cref="GrpoOptimizer"/>: prompt order, evaluation, checkpoints, callbacks, cancellation.</summary>
/// <remarks>Which prompts a step uses is a function of (seed, step), and so is every random number: a resumed run equals an uninterrupted one.</remarks>
public sealed class GrpoTrainer
{
    private readonly GrpoOptimizer _optimizer;
    private readonly IReadOnlyList<Prompt> _prompts;
    private readonly TrainerOptions _options;
    private readonly TrainerServices _services;
    private readonly ILogger _logger;

    /// <summary>Creates a trainer.</summary>
    /// <param name="optimizer">Does the steps. Borrowed.</param>
    /// <param name="prompts">The data set.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="services">Evaluator, checkpoint store and callbacks; null: none of them.</param>
    /// <param name="logger">Null: no log.</param>
    /// <exception cref="ArgumentException">There are no prompts, two share an id, or an option is out of range.</exception>
    public GrpoTrainer(
        GrpoOptimizer optimizer, IReadOnlyList<Prompt> prompts, TrainerOptions? options = null,
        TrainerServices? services = null, ILogger<GrpoTrainer>? logger = null)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        ArgumentNullException.ThrowIfNull(prompts);
        _optimizer = optimizer;
        _prompts = prompts;
        _options = (options ?? new TrainerOptions()) with { };
        _services = services ?? new TrainerServices();
        _logger = logger ?? (ILogger)NullLogger.Instance;
        if (prompts.Count == 0)
        {
            throw new ArgumentException("There are no prompts: the data set is empty.", nameof(prompts));
        }

        // Random numbers are keyed by the id: two prompts of one id would share theirs.
        if (prompts.GroupBy(prompt => prompt.Id, StringComparer.Ordinal).FirstOrDefault(group => group.Count() > 1) is { } twins)
        {
            throw new ArgumentException($"{twins.Count()} prompts have the id '{twins.Key}'; every prompt needs its own.", nameof(prompts));
        }

        if (string.Join(" ", _options.Validate()) is { Length: > 0 } problems)
        {
            throw new ArgumentException(problems, nameof(options));
        }
    }

    /// <summary>Trains to the end.</summary>
    /// <param name="cancellationToken">Stops within a token; a checkpoint is written before the exception.</param>
    /// <exception cref="OperationCanceledException">The run was cancelled.</exception>
    public async Task<TrainingSummary> TrainAsync(CancellationToken cancellationToken = default)
    {
        var run = new Run();
        await foreach (StepReport _ in RunAsync(run, cancellationToken).ConfigureAwait(false))
        {
            // The callbacks have seen it.
        }

        return run.Summarize(cancelled: false);
    }

    /// <summary>Trains step by step; leaving the loop ends the run without a last checkpoint.</summary>
    /// <param name="cancellationToken">Stops within a token; a checkpoint is written before the exception.</param>
    /// <exception cref="OperationCanceledException">The run was cancelled.</exception>
    public IAsyncEnumerable<StepReport> RunAsync(CancellationToken cancellationToken = default) => RunAsync(null, cancellationToken);

    private async IAsyncEnumerable<StepReport> RunAsync(Run? run, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        run ??= new Run(); // here, so that a second enumeration counts afresh
        await ResumeAsync(cancellationToken).ConfigureAwait(false);
        var start = new TrainingStart(_optimizer.Step, _options.Steps, _optimizer.Options);
        foreach (ITrainingCallback callback in _services.Callbacks)
        {
            await callback.OnStartAsync(start, cancellationToken).ConfigureAwait(false);
        }

        var order = new PromptOrder(_prompts.Count, _optimizer.Options.Seed);
        while (_optimizer.Step < _options.Steps)
        {
            StepReport report;
            try
            {
                run.Before ??= await EvaluateAsync(run, cancellationToken).ConfigureAwait(false);
                (IReadOnlyList<Prompt> prompts, IReadOnlyList<Prompt> reserve) = Draw(order);
                report = await _optimizer.StepAsync(prompts, reserve, cancellationToken).ConfigureAwait(false);
                run.Steps++;
                run.CompletionTokens += report.CompletionTokens;
                report = await AfterStepAsync(run, report, cancellationToken).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                await EndAsync(run, cancelled: true).ConfigureAwait(false);
                throw;
            }

            yield return report;
        }

        await EndAsync(run, cancelled: false).ConfigureAwait(false);
    }

    // The reserve follows an order of its own, so that what luck makes a step use up moves no later step.
    private (IReadOnlyList<Prompt> Prompts, IReadOnlyList<Prompt> Reserve) Draw(PromptOrder order)
    {
        GrpoOptions options = _optimizer.Options;
        IReadOnlyList<int> indices = order.At(_optimizer.Step, options.PromptsPerStep);
        int further = options.PromptsPerStep * (options.MaxSamplingRounds - 1);
        IEnumerable<int> reserve = further == 0 ? [] : new PromptOrder(_prompts.Count, ~options.Seed).At(_optimizer.Step, further).Distinct().Except(indices);
        return ([.. indices.Select(index => _prompts[index])], [.. reserve.Select(index => _prompts[index])]);
    }

    private async Task ResumeAsync(CancellationToken cancellationToken)
    {
        if (_options.Resume && _services.Checkpoints is { } store &&
            await store.FindLatestAsync(cancellationToken).ConfigureAwait(false) is { } latest)
        {
            _optimizer.Load(latest);
            _logger.Resumed(latest, _optimizer.Step);
        }
    }

    private async Task<StepReport> AfterStepAsync(Run run, StepReport report, CancellationToken cancellationToken)
    {
        bool last = report.Step >= _options.Steps;
        if (_services.Evaluator is not null && (last || IsDue(report.Step, _options.EvaluateEvery)))
        {
            report = report with { Evaluation = await EvaluateAsync(run, cancellationToken).ConfigureAwait(false) };
        }

        if (last || IsDue(report.Step, _options.CheckpointEvery))
        {
            report = report with { Checkpoint = await SaveAsync(run).ConfigureAwait(false) };
        }

        foreach (ITrainingCallback callback in _services.Callbacks)
        {
            await callback.OnStepAsync(report, cancellationToken).ConfigureAwait(false);
        }

        return report;
    }

    private static bool IsDue(long step, long every) => every > 0 && step % every == 0;

    private async Task<EvaluationReport?> EvaluateAsync(Run run, CancellationToken cancellationToken)
    {
        if (_services.Evaluator is { } evaluator)
        {
            run.After = await evaluator.EvaluateAsync(_optimizer.Policy, cancellationToken).ConfigureAwait(false);
        }

        return run.After;
    }

    // A checkpoint is worth more than a quick exit: the token that ended the run does not stop it.
    private async Task<string?> SaveAsync(Run run)
    {
        if (_services.Checkpoints is { } store && run.CheckpointStep != _optimizer.Step)
        {
            run.Checkpoint = await store.SaveAsync(_optimizer.Step, _optimizer.Save, CancellationToken.None).ConfigureAwait(false);
            run.CheckpointStep = _optimizer.Step;
            _logger.CheckpointWritten(run.Checkpoint);
        }

        return run.Checkpoint;
    }

    private async Task EndAsync(Run run, bool cancelled)
    {
        if (run.Steps > 0)
        {
            await SaveAsync(run).ConfigureAwait(false);
        }

        TrainingSummary summary = run.Summarize(cancelled);
        foreach (ITrainingCallback callback in _services.Callbacks)
        {
            await callback.OnEndAsync(summary).ConfigureAwait(false);
        }
    }

    private sealed class Run
    {
        private readonly Stopwatch _clock = Stopwatch.StartNew();

        public long Steps { get; set; }

        public long CompletionTokens { get; set; }

        public EvaluationReport? Before { get; set; }

        public EvaluationReport? After { get; set; }

        public string? Checkpoint { get; set; }

        public long CheckpointStep { get; set; } = -1;

        public TrainingSummary Summarize(bool cancelled) => new()
        {
            Steps = Steps,
            CompletionTokens = CompletionTokens,
            Elapsed = _clock.Elapsed,
            Before = Before,
            After = After,
            Checkpoint = Checkpoint,
            Cancelled = cancelled,
        };
    }
}
