using System.Runtime.CompilerServices;
using Grpo.IO;
using Grpo.Rollouts;
using Grpo.Training;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grpo;

/// <summary>The loop around a <see cref="GrpoOptimizer"/>: prompts, evaluation, checkpoints, the best of them, collapse, callbacks, cancellation.</summary>
/// <remarks>
/// Which prompts a step uses is a function of (seed, step), with a curriculum of the recorded pass rates too, and so is every random number;
/// a checkpoint holds the records, the options and the identity of the plug-ins (<see cref="IHasIdentity"/>). A resumed run equals an
/// uninterrupted one, and one that differs is refused. Checkpoints of versions without <c>trainer_state.json</c> resume with empty
/// records, those without <c>run_options.json</c>, or without identities in it, with a warning.
/// </remarks>
public sealed class GrpoTrainer
{
    private readonly GrpoOptimizer _optimizer;
    private readonly IReadOnlyList<Prompt> _prompts;
    private readonly TrainerOptions _options;
    private readonly TrainerServices _services;
    private readonly ILogger _logger;
    private readonly PromptSchedule _schedule;
    private readonly Lazy<SavedOptions> _savedOptions;
    private TrainingProgress _progress = new();
    private long _progressStep = -1;

    /// <summary>Creates a trainer.</summary>
    /// <param name="optimizer">Does the steps. Borrowed.</param>
    /// <param name="prompts">The data set.</param>
    /// <param name="options">Null: the defaults.</param>
    /// <param name="services">Evaluator, checkpoint store and callbacks; null: none of them.</param>
    /// <param name="logger">Null: no log.</param>
    /// <exception cref="ArgumentException">
    /// There are no prompts, two share an id, the sampler would refuse some (<see cref="IPromptChecker"/>), an option is out of range, or a
    /// roll-back has nothing to go back to.
    /// </exception>
    public GrpoTrainer(
        GrpoOptimizer optimizer, IReadOnlyList<Prompt> prompts, TrainerOptions? options = null,
        TrainerServices? services = null, ILogger<GrpoTrainer>? logger = null)
    {
        ArgumentNullException.ThrowIfNull(optimizer);
        ArgumentNullException.ThrowIfNull(prompts);
        _optimizer = optimizer;
        _prompts = prompts;
        _options = (options ?? new TrainerOptions()).Copy();
        _services = services ?? new TrainerServices();
        _logger = logger ?? (ILogger)NullLogger.Instance;
        if (prompts.Count == 0)
        {
            throw new ArgumentException("There are no prompts: the data set is empty.", nameof(prompts));
        }

        if (prompts.Any(prompt => prompt is null) || _services.Callbacks.Any(callback => callback is null))
        {
            throw new ArgumentException("A prompt or a callback is null; leave it out of the list.");
        }

        // Random numbers are keyed by the id: two prompts of one id would share theirs.
        if (prompts.GroupBy(prompt => prompt.Id, StringComparer.Ordinal).FirstOrDefault(group => group.Count() > 1) is { } twins)
        {
            throw new ArgumentException($"{twins.Count()} prompts have the id '{TerminalText.EscapeLine(twins.Key)}'; every prompt needs its own.", nameof(prompts));
        }

        if (string.Join(" ", _options.Validate()) is { Length: > 0 } problems)
        {
            throw new ArgumentException(problems, nameof(options));
        }

        if (_options.Guard.OnCollapse == CollapseAction.RollBack && (_services.Evaluator is null || _services.Checkpoints is null || !_options.KeepBest))
        {
            throw new ArgumentException(
                "OnCollapse is RollBack, which goes back to the best checkpoint: it needs an evaluator, a checkpoint store and KeepBest. Give them, or choose Stop.",
                nameof(options));
        }

        optimizer.CheckPrompts(prompts);
        _savedOptions = new Lazy<SavedOptions>(
            () => SavedOptions.Of(optimizer.Options, _options, prompts, optimizer.Identity, _services.Evaluator));
        _schedule = new PromptSchedule(prompts, optimizer.Options, _options.Curriculum == CurriculumMode.PassRate ? _options.PassRates : null);
    }

    /// <summary>Trains to the end, or until <see cref="TrainerOptions.Guard"/> stops the run.</summary>
    /// <remarks>
    /// Before any exception but <see cref="TrainingDivergedException"/> the checkpoint of the last whole step is written, if there is a
    /// store, unless a step failed half-way. If that fails as well, the first exception surfaces; the log and
    /// <see cref="TrainingSummary.Failure"/> tell both.
    /// </remarks>
    /// <param name="cancellationToken">Stops within a token; a checkpoint is written before the exception.</param>
    /// <exception cref="OperationCanceledException">The run was cancelled.</exception>
    /// <exception cref="InvalidOperationException">Another run trains the same policy.</exception>
    /// <exception cref="ObjectDisposedException">The optimizer was disposed.</exception>
    /// <exception cref="InvalidDataException">
    /// A checkpoint cannot be resumed: the message names the file, or every option and part of the run that differs. Or all checkpoints
    /// are damaged.
    /// </exception>
    /// <exception cref="IOException">
    /// Another run uses the folder of the checkpoints, or a checkpoint cannot be written and <see cref="TrainerOptions.OnCheckpointFailure"/> says to stop.
    /// </exception>
    public async Task<TrainingSummary> TrainAsync(CancellationToken cancellationToken = default)
    {
        TrainingSession? session = null;
        await foreach (StepReport _ in RunAsync(started => session = started, cancellationToken).ConfigureAwait(false))
        {
            // The callbacks have seen it.
        }

        return session!.Summarize();
    }

    /// <summary>Trains step by step. Leaving the loop ends the run, with a checkpoint of the last step.</summary>
    /// <remarks>
    /// Exceptions are those of <see cref="TrainAsync"/>. A checkpoint that cannot be written when the loop is left is an exception too. It
    /// is thrown from the end of the loop, in place of one that has left it.
    /// </remarks>
    /// <param name="cancellationToken">Stops within a token; a checkpoint is written before the exception.</param>
    /// <exception cref="OperationCanceledException">The run was cancelled.</exception>
    public IAsyncEnumerable<StepReport> RunAsync(CancellationToken cancellationToken = default) => RunAsync(null, cancellationToken);

    private async IAsyncEnumerable<StepReport> RunAsync(
        Action<TrainingSession>? onStart, [EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        using IDisposable run = _optimizer.BeginRun($"{nameof(GrpoTrainer)}.{nameof(RunAsync)}");
        using IDisposable? claim = _services.Checkpoints?.BeginRun();
        string? resumedFrom = await ResumeAsync(cancellationToken).ConfigureAwait(false);
        var checkpoints = new RunCheckpoints(
            _optimizer, _options, _services.Checkpoints, _progress, _schedule, _savedOptions, _services.Clock, _logger)
        {
            OnFailure = _progress.Events.Add,
            Description = _services.Task,
        };
        var session = new TrainingSession(_optimizer, _options, _services, _progress, _schedule, checkpoints, resumedFrom, _logger);
        onStart?.Invoke(session);
        bool running = true, ended = false;
        try
        {
            while (running)
            {
                StepReport? report = null;
                try
                {
                    await session.StartAsync(cancellationToken).ConfigureAwait(false);
                    running = await session.OpenAsync(cancellationToken).ConfigureAwait(false);
                    if (running)
                    {
                        report = await StepAsync(session, cancellationToken).ConfigureAwait(false);
                    }
                    else
                    {
                        await session.SaveIfChangedAsync().ConfigureAwait(false);
                    }
                }
                catch (Exception exception)
                {
                    ended = true;
                    bool cancelled = exception is OperationCanceledException && cancellationToken.IsCancellationRequested;
                    await session.EndAsync(exception, cancelled).ConfigureAwait(false);
                    throw;
                }
                finally
                {
                    _progressStep = _optimizer.Step;
                }

                if (report is not null)
                {
                    yield return report;
                }
            }

            ended = true;
            await session.EndAsync(null, cancelled: false).ConfigureAwait(false);
        }
        finally
        {
            if (!ended)
            {
                await session.LeaveAsync().ConfigureAwait(false);
            }
        }
    }

    // Null: the step diverged, and the best checkpoint was put back.
    private async Task<StepReport?> StepAsync(TrainingSession session, CancellationToken cancellationToken)
    {
        PromptDraw draw = _schedule.Draw(_optimizer.Step);
        StepReport report;
        try
        {
            report = await _optimizer.StepAsync(
                [.. draw.Indices.Select(index => _prompts[index])], [.. draw.Reserve.Select(index => _prompts[index])], cancellationToken).ConfigureAwait(false);
        }
        catch (TrainingDivergedException exception)
        {
            long failed = _optimizer.Step + 1;
            if (_options.Guard.OnCollapse != CollapseAction.RollBack || !await session.RollBackAsync(failed, exception.Message).ConfigureAwait(false))
            {
                throw;
            }

            _schedule.Abandon(draw);
            return null;
        }

        // Before anything that may be cancelled: what the step changed and what is on record of it belong together.
        report = report with { Curriculum = _schedule.Commit(draw, report.Step, report.Groups) };
        session.Count(report);
        return await session.AfterStepAsync(report, cancellationToken).ConfigureAwait(false);
    }

    // The folder of the checkpoint that the run goes on from; null for none.
    private async Task<string?> ResumeAsync(CancellationToken cancellationToken)
    {
        if (_services.Checkpoints is not null)
        {
            _ = _savedOptions.Value; // a plug-in that cannot say what it is fails here, and not with the first checkpoint
        }

        if (_options.Resume && _services.Checkpoints is { } store &&
            await store.FindLatestAsync(cancellationToken).ConfigureAwait(false) is { } latest)
        {
            ResumeCheck.Require(latest, _savedOptions.Value, _options.AllowOptionChanges, _logger);
            TrainerState? state = TrainerState.Read(latest); // before the weights change
            _optimizer.Load(latest);
            _logger.Resumed(latest, _optimizer.Step);
            _progress = state?.ToProgress(_options.Guard.EntropySteps) ?? new TrainingProgress();
            _schedule.Reset(_optimizer.Step);
            if (state?.Position is { } position && _schedule.IsAdaptive)
            {
                _schedule.Restore(position, state.PassRates);
            }

            // The mark may be missing or another: a crash may have come between the checkpoint and its mark.
            if (_progress.Best is { Step: var best } && RunCheckpoints.Keeps(best, _options))
            {
                _progress.Best = _progress.Best with { Folder = await store.MarkBestAsync(best, cancellationToken).ConfigureAwait(false) };
                if (_progress.Best.Folder is null)
                {
                    _logger.BestCheckpointMissing(best);
                }
            }

            return latest;
        }

        _optimizer.RequireWhole();
        if (_progressStep != _optimizer.Step)
        {
            // Not the run that this trainer left, if it left one.
            _progress = new TrainingProgress();
            _schedule.Reset(_optimizer.Step);
        }

        return null;
    }
}
