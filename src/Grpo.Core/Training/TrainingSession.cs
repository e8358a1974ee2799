using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using Grpo.Checkpoints;
using Grpo.Evaluation;
using Grpo.Optimization;
using Grpo.Tensors;
using Microsoft.Extensions.Logging;

namespace Grpo.Training;

/// <summary>
/// One run of a <see cref="GrpoTrainer"/> in phases: tell the callbacks of the start, evaluate before training, do the steps, end. Each
/// phase runs once, in this order.
/// </summary>
/// <param name="parts">The parts of the trainer.</param>
/// <param name="progress">The records of the run, which a resumed run continues.</param>
/// <param name="resumedFrom">The folder of the checkpoint that the run resumes from; null if there is none.</param>
internal sealed class TrainingSession(RunParts parts, TrainingProgress progress, string? resumedFrom)
{
    private readonly GrpoOptimizer _optimizer = parts.Optimizer;
    private readonly TrainerOptions _options = parts.Options;
    private readonly TrainerServices _services = parts.Services;
    private readonly PromptSchedule _schedule = parts.Schedule;
    private readonly ILogger _logger = parts.Logger;
    private readonly RunCheckpoints _checkpoints = new(parts, progress);
    private readonly Stopwatch _clock = Stopwatch.StartNew();
    private readonly List<ITrainingCallback> _told = [];
    private Phase _phase = Phase.Starting;
    private bool _warned;
    private long _steps;
    private long _tokens;

    private enum Phase
    {
        Starting,
        Training,
        Stopped, // by the collapse guard
        Ended,
    }

    /// <summary>The number of steps that the optimizer had done after the last action of the session.</summary>
    public long LastStep { get; private set; } = -1;

    /// <summary>Runs all phases and returns each step as it is done. However the enumeration ends, the run is ended in order.</summary>
    /// <param name="cancellationToken">A token that stops the run within one sampled token. The last checkpoint is written first.</param>
    public async IAsyncEnumerable<TrainingStep> RunAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        try
        {
            await GuardAsync(() => StartAsync(cancellationToken), cancellationToken).ConfigureAwait(false);
            await GuardAsync(() => EvaluateBeforeAsync(cancellationToken), cancellationToken).ConfigureAwait(false);
            while (HasNextStep)
            {
                TrainingStep? step = null;
                await GuardAsync(async () => step = await StepAsync(cancellationToken).ConfigureAwait(false), cancellationToken)
                    .ConfigureAwait(false);
                if (step is not null)
                {
                    yield return step;
                }
            }

            await GuardAsync(() => _checkpoints.SaveAsync(isLast: true), cancellationToken).ConfigureAwait(false);
            await EndAsync(failure: null, canceled: false).ConfigureAwait(false);
        }
        finally
        {
            if (_phase != Phase.Ended)
            {
                // The caller has left the loop over the steps.
                await EndAsync(failure: null, canceled: HasNextStep).ConfigureAwait(false);
            }
        }
    }

    private bool HasNextStep => _phase == Phase.Training && _optimizer.Step < _options.Steps;

    // An exception ends the run before it reaches the caller.
    private async Task GuardAsync(Func<Task> phase, CancellationToken cancellationToken)
    {
        try
        {
            await phase().ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            bool canceled = exception is OperationCanceledException && cancellationToken.IsCancellationRequested;
            await EndAsync(exception, canceled).ConfigureAwait(false);
            throw;
        }
        finally
        {
            LastStep = _optimizer.Step;
        }
    }

    private async Task StartAsync(CancellationToken cancellationToken)
    {
        _checkpoints.OnWrite = SaveCallbacks;
        var start = new TrainingStart(_optimizer.Step, _options.Steps, _optimizer.Options)
        {
            Resumes = _options.Resume,
            Checkpoint = resumedFrom,
            Warn = _logger.CallbackWarned,
        };
        foreach (ITrainingCallback callback in _services.Callbacks)
        {
            _told.Add(callback);
            await callback.OnStartAsync(start, cancellationToken).ConfigureAwait(false);
        }
    }

    // Evaluates before training, or makes up for the pending evaluation of a canceled run, and checks for a collapse.
    private async Task EvaluateBeforeAsync(CancellationToken cancellationToken)
    {
        long step = _optimizer.Step;
        bool isPending = IsPending(step);
        if (_services.Evaluator is { } evaluator && (isPending || (progress.EvaluatedStep < 0 && step < _options.Steps)))
        {
            EvaluationReport evaluation = await EvaluateAsync(evaluator, cancellationToken).ConfigureAwait(false);
            if (isPending)
            {
                _checkpoints.Change(); // the checkpoint of the canceled run does not hold this evaluation
                await TellAsync(
                    (callback, token) => callback.OnEvaluationAsync(step, evaluation, token),
                    CancellationToken.None).ConfigureAwait(false);
            }

            await _checkpoints.SaveBestAsync(step).ConfigureAwait(false);
        }

        _phase = Phase.Training;
        bool isKnown = progress.Collapse is { Action: CollapseAction.Continue } collapse && collapse.Step == step;
        if ((isPending || step < _options.Steps) && !isKnown)
        {
            int before = progress.Events.Count;
            await GuardAgainstCollapseAsync(step).ConfigureAwait(false);
            if (isPending)
            {
                NoteEvents(step, progress.Events.Skip(before));
            }
        }
    }

    // Returns null if the step diverged and the best checkpoint was restored.
    private async Task<TrainingStep?> StepAsync(CancellationToken cancellationToken)
    {
        PromptChoice choice = _schedule.Choose(_optimizer.Step);
        IStepObserver[] observers =
            [.. _services.Callbacks.OfType<IStepObserverFactory>()
                .Select(callback => callback.Observe(_optimizer.Policy, _optimizer.Options.Seed))];
        StepReport report;
        try
        {
            report = await _optimizer.StepAsync(Prompts(choice.Indices), Prompts(choice.Reserve), observers, cancellationToken)
                .ConfigureAwait(false);
        }
        catch (TrainingDivergedException exception)
        {
            long failed = _optimizer.Step + 1;
            if (_options.Guard.OnCollapse != CollapseAction.RollBack
                || !await RollBackAsync(failed, exception.Message).ConfigureAwait(false))
            {
                throw;
            }

            _schedule.Abandon(choice);
            return null;
        }

        // Record the step before anything that may be canceled, so that weights and records are of the same step.
        CurriculumReport? curriculum = _schedule.Commit(choice, report.Step, report.Groups);
        Count(report);
        return await AfterStepAsync(new TrainingStep(report) { Curriculum = curriculum }, cancellationToken).ConfigureAwait(false);
    }

    private Prompt[] Prompts(IReadOnlyList<int> indices) => [.. indices.Select(index => parts.Prompts[index])];

    private void Count(StepReport report)
    {
        _steps++;
        _tokens += report.CompletionTokens;
        _checkpoints.Change();
        progress.Add(report.Entropy, _options.Guard.EntropySteps);
        if (_schedule.IsAdaptive && !_warned && !_schedule.HasJudgments)
        {
            _warned = true;
            _logger.NothingJudged();
        }
    }

    // Evaluates, checks for a collapse, tells the callbacks and saves, as is due. The callbacks come before the checkpoint. If the process
    // is killed between the two, the resumed run repeats the step, and a log can drop the first of the two records. In the other order the
    // step would be done but missing from the log.
    private async Task<TrainingStep> AfterStepAsync(TrainingStep step, CancellationToken cancellationToken)
    {
        bool last = step.Step >= _options.Steps;
        EvaluationReport? evaluation = null;
        Exception? failure = await CatchAsync(async () =>
        {
            if (_services.Evaluator is { } evaluator && (last || IsDue(step.Step, _options.EvaluateEvery)))
            {
                evaluation = await EvaluateAsync(evaluator, cancellationToken).ConfigureAwait(false);
            }

            await GuardAgainstCollapseAsync(step.Step).ConfigureAwait(false);
        }).ConfigureAwait(false);

        // The step is done and will be in the last checkpoint, so the callbacks see it even after a failure. An evaluation that failed is
        // repeated when the run resumes.
        step = step with { Evaluation = evaluation, Event = TakeEvents() };
        await TellAsync((callback, token) => callback.OnStepAsync(step, token), cancellationToken, failure).ConfigureAwait(false);
        await _checkpoints.SaveBestAsync(step.Step).ConfigureAwait(false);
        if (last || IsDue(step.Step, _options.CheckpointEvery) || _checkpoints.IsTimeUp)
        {
            await _checkpoints.SaveAsync(isLast: last).ConfigureAwait(false);
        }

        return step with { Checkpoint = _checkpoints.FolderOf(step.Step) };
    }

    // Restores the best checkpoint under the number of the step that failed. Returns false, with nothing changed, if there is no best
    // checkpoint, if it is the collapsed policy itself, or after the allowed number of roll-backs.
    private async Task<bool> RollBackAsync(long step, string reason)
    {
        if (progress.RollBacks >= _options.Guard.MaxRollBacks || progress.Best is not { Folder: { } folder } best || best.Step >= step)
        {
            return false;
        }

        if (await _services.Checkpoints!.FindBestAsync(CancellationToken.None).ConfigureAwait(false) != folder)
        {
            _logger.BestCheckpointMissing(best.Step);
            return false;
        }

        TrainerState? state = TrainerState.Read(folder);
        _checkpoints.Suspend();
        _optimizer.Load(folder);
        _optimizer.Step = step;
        if (state is not null && _schedule.IsAdaptive)
        {
            _schedule.Restore(_schedule.Position, state.PassRates); // the current ones describe the collapsed policy
        }

        progress.RollBack(step);
        _checkpoints.Change();
        Record(
            new TrainingCollapse(step, reason, CollapseAction.RollBack, best.Step),
            FormattableString.Invariant(
                $"Rolled back to the checkpoint of step {best.Step}, roll-back {progress.RollBacks} of {_options.Guard.MaxRollBacks}."));
        return true;
    }

    // Ends the run: writes the last checkpoint and tells the callbacks. The failure is the exception that ended the run, which the caller
    // throws afterward; null if the run ended in order.
    private async Task EndAsync(Exception? failure, bool canceled)
    {
        _phase = Phase.Ended;
        Exception? own = await CatchAsync(() => _checkpoints.SaveLastAsync(failure)).ConfigureAwait(false);
        string? told = own?.Message;
        if (own is not null)
        {
            _logger.LastCheckpointFailed(own, _optimizer.Step);
        }

        if (failure is not null && !canceled)
        {
            told = own is null ? failure.Message : $"{failure.Message} And the last checkpoint could not be written: {own.Message}";
            own = null; // the first failure is the one that surfaces
        }

        TrainingSummary summary = Summarize() with { Canceled = canceled, Failure = told };
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
                _logger.EndCallbackFailed(problem, callback.GetType().Name); // the first failure is the one that surfaces
            }
        }

        if (own is not null)
        {
            ExceptionDispatchInfo.Throw(own);
        }
    }

    /// <summary>Returns the results of the run so far.</summary>
    public TrainingSummary Summarize() => new()
    {
        Steps = _steps,
        LastStep = _optimizer.Step,
        CompletionTokens = _tokens,
        Elapsed = _clock.Elapsed,
        Before = progress.Before,
        After = progress.After,
        Best = progress.Best,
        Evaluations = [.. progress.Evaluations],
        Checkpoint = _checkpoints.Folder,
        Collapse = progress.Collapse,
        RollBacks = progress.RollBacks,
    };

    // True if the step is done but not evaluated, because the run was canceled during the evaluation.
    private bool IsPending(long step) =>
        progress.EvaluatedStep >= 0 && progress.EvaluatedStep < step && (step >= _options.Steps || IsDue(step, _options.EvaluateEvery));

    private static bool IsDue(long step, long every) => every > 0 && step % every == 0;

    // Only callbacks that were told of the start have a record of this run.
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
        EvaluationReport evaluation =
            await CheckedServices.EvaluateAsync(evaluator, _optimizer.Policy, cancellationToken).ConfigureAwait(false);
        FreedMemory.Trim();
        long step = _optimizer.Step;
        if (progress.Add(step, evaluation))
        {
            _logger.BestSoFar(step, evaluation.Accuracy, evaluation.MeanReward);
        }

        return evaluation;
    }

    // Tells every callback, even after one has failed, because all of them must have a record of what the next checkpoint holds. The first
    // failure is thrown, the others are logged.
    private async Task TellAsync(
        Func<ITrainingCallback, CancellationToken, ValueTask> tell, CancellationToken cancellationToken, Exception? failure = null)
    {
        foreach (ITrainingCallback callback in _services.Callbacks)
        {
            CancellationToken token = failure is null ? cancellationToken : CancellationToken.None;
            Exception? problem = await CatchAsync(() => tell(callback, token).AsTask()).ConfigureAwait(false);
            if (problem is not null && failure is not null)
            {
                _logger.CallbackFailed(problem, callback.GetType().Name);
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

    private async Task GuardAgainstCollapseAsync(long step)
    {
        if (CollapseDetector.FindReason(_options.Guard, progress, step) is not { } reason)
        {
            return;
        }

        if (_options.Guard.OnCollapse == CollapseAction.Continue)
        {
            progress.ForgetEntropies(); // warn again only about a new collapse
            Record(new TrainingCollapse(step, reason, CollapseAction.Continue), "Training goes on, as configured.");
        }
        else if (_options.Guard.OnCollapse == CollapseAction.Stop || !await RollBackAsync(step, reason).ConfigureAwait(false))
        {
            _phase = Phase.Stopped;
            Record(new TrainingCollapse(step, reason, CollapseAction.Stop), _checkpoints.KeepsBest
                ? FormattableString.Invariant($"Training stops; the best checkpoint is that of step {progress.Best!.Step}.")
                : "Training stops.");
        }
    }

    // The next step's report tells the callbacks.
    private void Record(TrainingCollapse collapse, string consequence)
    {
        progress.Collapse = collapse;
        progress.Events.Add($"{collapse.Reason} {consequence}");
        _logger.Collapsed(collapse.Step, collapse.Reason, consequence);
    }
}

/// <summary>The parts of a <see cref="GrpoTrainer"/> that its runs use.</summary>
/// <param name="Optimizer">The optimizer that performs the steps.</param>
/// <param name="Prompts">The data set.</param>
/// <param name="Options">The options of the trainer.</param>
/// <param name="Services">The evaluator, the checkpoint store and the callbacks.</param>
/// <param name="Schedule">The schedule of the prompts of each step.</param>
/// <param name="SavedOptions">The options and identities that checkpoints hold.</param>
/// <param name="Logger">The log.</param>
internal sealed record RunParts(
    GrpoOptimizer Optimizer, IReadOnlyList<Prompt> Prompts, TrainerOptions Options, TrainerServices Services, PromptSchedule Schedule,
    Lazy<SavedOptions> SavedOptions, ILogger Logger)
{
    /// <summary>The checkpoint store; null without one.</summary>
    public ICheckpointStore? Store => Services.Checkpoints;
}
