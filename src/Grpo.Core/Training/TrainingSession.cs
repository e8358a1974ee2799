using System.Diagnostics;
using System.Runtime.ExceptionServices;
using Grpo.Callbacks;
using Grpo.Evaluation;
using Grpo.Tensors;
using Microsoft.Extensions.Logging;

namespace Grpo.Training;

/// <summary>One run of a <see cref="GrpoTrainer"/>: what happens around its steps, and its counts.</summary>
internal sealed class TrainingSession(
    GrpoOptimizer optimizer, TrainerOptions options, TrainerServices services, TrainingProgress progress, PromptSchedule schedule,
    RunCheckpoints checkpoints, string? resumedFrom, ILogger logger)
{
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly List<ITrainingCallback> _told = [];
    private bool _started;
    private bool _opened;
    private bool _stopped;
    private bool _warned;
    private long _steps;
    private long _tokens;

    /// <summary>Tells the callbacks, the first time.</summary>
    public async Task StartAsync(CancellationToken cancellationToken)
    {
        if (_started)
        {
            return;
        }

        _started = true;
        checkpoints.OnWrite = SaveCallbacks;
        var start = new TrainingStart(optimizer.Step, options.Steps, optimizer.Options)
        {
            Resumes = options.Resume,
            Checkpoint = resumedFrom,
            Warn = logger.CallbackWarned,
        };
        foreach (ITrainingCallback callback in services.Callbacks)
        {
            _told.Add(callback);
            await callback.OnStartAsync(start, cancellationToken).ConfigureAwait(false);
        }
    }

    /// <summary>Before a step. The first time: the evaluation that precedes training, or that a cancelled run still owes, and a look at the bounds.</summary>
    /// <returns>Whether there is a step to be done.</returns>
    public async Task<bool> OpenAsync(CancellationToken cancellationToken)
    {
        if (!_opened)
        {
            long step = optimizer.Step;
            bool isOwed = IsOwed(step);
            if (services.Evaluator is { } evaluator && (isOwed || (progress.EvaluatedStep < 0 && step < options.Steps)))
            {
                EvaluationReport evaluation = await EvaluateAsync(evaluator, cancellationToken).ConfigureAwait(false);
                if (isOwed)
                {
                    checkpoints.Change(); // the one that the cancelled run left has no record of it
                    await TellAsync(
                        (callback, token) => callback.OnEvaluationAsync(step, evaluation, token),
                        CancellationToken.None).ConfigureAwait(false);
                }

                await checkpoints.SaveBestAsync(step).ConfigureAwait(false);
            }

            bool isKnown = progress.Collapse is { Action: CollapseAction.Continue } collapse && collapse.Step == step;
            if ((isOwed || step < options.Steps) && !isKnown)
            {
                int before = progress.Events.Count;
                await GuardAsync(step).ConfigureAwait(false);
                if (isOwed)
                {
                    NoteEvents(step, progress.Events.Skip(before));
                }
            }

            _opened = true;
        }

        return !_stopped && optimizer.Step < options.Steps;
    }

    /// <summary>Takes up a step that was done.</summary>
    public void Count(StepReport report)
    {
        _steps++;
        _tokens += report.CompletionTokens;
        checkpoints.Change();
        progress.Add(report.Entropy, options.Guard.EntropySteps);
        if (schedule.IsAdaptive && !_warned && !schedule.HasJudgements)
        {
            _warned = true;
            logger.NothingJudged();
        }
    }

    /// <summary>Evaluates, looks at the bounds, tells the callbacks and saves, as is due.</summary>
    /// <remarks>
    /// The callbacks come before the checkpoint. Killed between the two, the run repeats the step and a log can drop the first of the two
    /// records; the other way round the step would be done and missing from the log for ever.
    /// </remarks>
    public async Task<StepReport> AfterStepAsync(StepReport report, CancellationToken cancellationToken)
    {
        bool last = report.Step >= options.Steps;
        EvaluationReport? evaluation = null;
        Exception? failure = await CatchAsync(async () =>
        {
            if (services.Evaluator is { } evaluator && (last || IsDue(report.Step, options.EvaluateEvery)))
            {
                evaluation = await EvaluateAsync(evaluator, cancellationToken).ConfigureAwait(false);
            }

            await GuardAsync(report.Step).ConfigureAwait(false);
        }).ConfigureAwait(false);

        // The step is done and will be in the last checkpoint, so it is told in any case. An evaluation that failed is made up for when the
        // run goes on.
        report = report with { Evaluation = evaluation, Event = TakeEvents() };
        await TellAsync((callback, token) => callback.OnStepAsync(report, token), cancellationToken, failure).ConfigureAwait(false);
        await checkpoints.SaveBestAsync(report.Step).ConfigureAwait(false);
        if (last || IsDue(report.Step, options.CheckpointEvery) || checkpoints.IsTimeUp)
        {
            await checkpoints.SaveAsync(isLast: last).ConfigureAwait(false);
        }

        return report with { Checkpoint = checkpoints.FolderOf(report.Step) };
    }

    /// <summary>Puts the best checkpoint back, under the number of the step that failed.</summary>
    /// <param name="step">The number under which the run goes on.</param>
    /// <param name="reason">What went wrong, as a sentence.</param>
    /// <returns>False when there is none, when it is the collapsed one, or after the allowed number of roll-backs: nothing has changed then.</returns>
    public async Task<bool> RollBackAsync(long step, string reason)
    {
        if (progress.RollBacks >= options.Guard.MaxRollBacks || progress.Best is not { Folder: { } folder } best || best.Step >= step)
        {
            return false;
        }

        if (await services.Checkpoints!.FindBestAsync(CancellationToken.None).ConfigureAwait(false) != folder)
        {
            logger.BestCheckpointMissing(best.Step);
            return false;
        }

        TrainerState? state = TrainerState.Read(folder);
        checkpoints.Suspend();
        optimizer.Load(folder);
        optimizer.Step = step;
        if (state is not null && schedule.IsAdaptive)
        {
            schedule.Restore(schedule.Position, state.PassRates); // those of the collapsed policy say nothing of this one
        }

        progress.RollBack(step);
        checkpoints.Change();
        Record(
            new TrainingCollapse(step, reason, CollapseAction.RollBack, best.Step),
            FormattableString.Invariant($"Rolled back to the checkpoint of step {best.Step}, roll-back {progress.RollBacks} of {options.Guard.MaxRollBacks}."));
        return true;
    }

    /// <summary>Writes the last checkpoint unless there is one that holds all there is.</summary>
    public Task SaveIfChangedAsync() => checkpoints.SaveAsync(isLast: true);

    /// <summary>Ends the run when its caller has left the loop over its steps.</summary>
    public Task LeaveAsync() => EndAsync(failure: null, cancelled: !_stopped && optimizer.Step < options.Steps);

    /// <summary>Ends the run: writes the last checkpoint, and tells the callbacks.</summary>
    /// <param name="failure">The exception that ended it, and is thrown afterwards; null when it ended in order.</param>
    /// <param name="cancelled">Whether it was stopped, by the token or by leaving the loop.</param>
    public async Task EndAsync(Exception? failure, bool cancelled)
    {
        Exception? own = await CatchAsync(() => checkpoints.SaveLastAsync(failure)).ConfigureAwait(false);
        string? told = own?.Message;
        if (own is not null)
        {
            logger.LastCheckpointFailed(own, optimizer.Step);
        }

        if (failure is not null && !cancelled)
        {
            told = own is null ? failure.Message : $"{failure.Message} And the last checkpoint could not be written: {own.Message}";
            own = null; // the first failure is the one to surface
        }

        TrainingSummary summary = Summarize() with { Cancelled = cancelled, Failure = told };
        foreach (ITrainingCallback callback in _told)
        {
            if (await CatchAsync(() => callback.OnEndAsync(summary).AsTask()).ConfigureAwait(false) is not { } problem)
            {
                continue;
            }

            if (failure is null && own is null)
            {
                own = problem;
            }
            else
            {
                logger.EndCallbackFailed(problem, callback.GetType().Name); // the first failure is the one to surface
            }
        }

        if (own is not null)
        {
            ExceptionDispatchInfo.Throw(own);
        }
    }

    /// <summary>The run in numbers, so far.</summary>
    public TrainingSummary Summarize() => new()
    {
        Steps = _steps,
        LastStep = optimizer.Step,
        CompletionTokens = _tokens,
        Elapsed = _clock.Elapsed,
        Before = progress.Before,
        After = progress.After,
        Best = progress.Best,
        Evaluations = [.. progress.Evaluations],
        Checkpoint = checkpoints.Folder,
        Collapse = progress.Collapse,
        RollBacks = progress.RollBacks,
    };

    // A run that was cancelled during an evaluation has done the step and not evaluated it.
    private bool IsOwed(long step) => progress.EvaluatedStep >= 0 && progress.EvaluatedStep < step && (step >= options.Steps || IsDue(step, options.EvaluateEvery));

    private static bool IsDue(long step, long every) => every > 0 && step % every == 0;

    // Those that were told of the start; the others have nothing of this run.
    private void SaveCallbacks(string folder)
    {
        foreach (ICheckpointedCallback callback in _told.OfType<ICheckpointedCallback>())
        {
            callback.Save(folder, Summarize());
        }
    }

    private void NoteEvents(long step, IEnumerable<string> events)
    {
        foreach (string text in events)
        {
            _told.OfType<ICheckpointedCallback>().ToList().ForEach(callback => callback.Note(step, text));
        }
    }

    private static async Task<Exception?> CatchAsync(Func<Task> action)
    {
        try
        {
            await action().ConfigureAwait(false);
            return null;
        }
        catch (Exception exception)
        {
            return exception;
        }
    }

    private async Task<EvaluationReport> EvaluateAsync(IEvaluator evaluator, CancellationToken cancellationToken)
    {
        EvaluationReport evaluation = await CheckedServices.EvaluateAsync(evaluator, optimizer.Policy, cancellationToken).ConfigureAwait(false);
        FreedMemory.Trim();
        long step = optimizer.Step;
        if (progress.Add(step, evaluation))
        {
            logger.BestSoFar(step, evaluation.Accuracy, evaluation.MeanReward);
        }

        return evaluation;
    }

    // Tells every callback, also after one has failed: what the next checkpoint holds must be on record with all of them. The first failure
    // surfaces, the others are logged.
    private async Task TellAsync(
        Func<ITrainingCallback, CancellationToken, ValueTask> tell, CancellationToken cancellationToken, Exception? failure = null)
    {
        foreach (ITrainingCallback callback in services.Callbacks)
        {
            CancellationToken token = failure is null ? cancellationToken : CancellationToken.None;
            Exception? problem = await CatchAsync(() => tell(callback, token).AsTask()).ConfigureAwait(false);
            if (problem is not null && failure is not null)
            {
                logger.CallbackFailed(problem, callback.GetType().Name);
            }

            failure ??= problem;
        }

        if (failure is not null)
        {
            ExceptionDispatchInfo.Throw(failure);
        }
    }

    private string? TakeEvents()
    {
        string? text = progress.Events.Count == 0 ? null : string.Join(" ", progress.Events);
        progress.Events.Clear();
        return text;
    }

    private async Task GuardAsync(long step)
    {
        if (CollapseDetector.FindReason(options.Guard, progress, step) is not { } reason)
        {
            return;
        }

        if (options.Guard.OnCollapse == CollapseAction.Continue)
        {
            progress.ForgetEntropies(); // say it again only when it is new
            Record(new TrainingCollapse(step, reason, CollapseAction.Continue), "Training goes on, as configured.");
        }
        else if (options.Guard.OnCollapse == CollapseAction.Stop || !await RollBackAsync(step, reason).ConfigureAwait(false))
        {
            _stopped = true;
            Record(new TrainingCollapse(step, reason, CollapseAction.Stop), checkpoints.KeepsBest
                ? FormattableString.Invariant($"Training stops; the best checkpoint is that of step {progress.Best!.Step}.")
                : "Training stops.");
        }
    }

    // The next report tells the callbacks.
    private void Record(TrainingCollapse collapse, string consequence)
    {
        progress.Collapse = collapse;
        progress.Events.Add($"{collapse.Reason} {consequence}");
        logger.Collapsed(collapse.Step, collapse.Reason, consequence);
    }
}
