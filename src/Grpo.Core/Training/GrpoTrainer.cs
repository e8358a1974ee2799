using System.Runtime.CompilerServices;
using Grpo.IO;
using Grpo.Rollouts;
using Grpo.Training;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grpo;

/// <summary>
/// The loop around a <see cref="GrpoOptimizer"/>: prompts, evaluation, checkpoints, the best of them, collapse, callbacks, cancellation.
/// </summary>
/// <remarks>
/// Which prompts a step uses is a function of (seed, step), with a curriculum of the recorded pass rates too, and so is every random
/// number; a checkpoint holds the records, the options and the identity of the plug-ins (<see cref="IHasIdentity"/>). A resumed run equals
/// an uninterrupted one, and one that differs is refused. Checkpoints of versions without <c>trainer_state.json</c> resume with empty
/// records, those without <c>run_options.json</c>, or without identities in it, with a warning.
/// </remarks>
public sealed class GrpoTrainer
{
    private readonly RunParts _parts;
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
        TrainerOptions own = (options ?? new TrainerOptions()).Copy();
        services ??= new TrainerServices();
        if (prompts.Count == 0)
        {
            throw new ArgumentException("There are no prompts: the data set is empty.", nameof(prompts));
        }

        if (prompts.Any(prompt => prompt is null) || services.Callbacks.Any(callback => callback is null))
        {
            throw new ArgumentException("A prompt or a callback is null; leave it out of the list.");
        }

        // Random numbers are keyed by the id: two prompts of one id would share theirs.
        if (prompts.GroupBy(prompt => prompt.Id, StringComparer.Ordinal).FirstOrDefault(group => group.Count() > 1) is { } twins)
        {
            throw new ArgumentException(
                $"{twins.Count()} prompts have the id '{TerminalText.EscapeLine(twins.Key)}'; every prompt needs its own.",
                nameof(prompts));
        }

        if (string.Join(" ", own.Validate()) is { Length: > 0 } problems)
        {
            throw new ArgumentException(problems, nameof(options));
        }

        if (own.Guard.OnCollapse == CollapseAction.RollBack
            && (services.Evaluator is null || services.Checkpoints is null || !own.KeepBest))
        {
            throw new ArgumentException(
                "OnCollapse is RollBack, which goes back to the best checkpoint: it needs an evaluator, a checkpoint store and KeepBest. "
                + "Give them, or choose Stop.",
                nameof(options));
        }

        optimizer.CheckPrompts(prompts);
        _parts = new RunParts(
            optimizer, prompts, own, services,
            new PromptSchedule(prompts, optimizer.Options, own.Curriculum == CurriculumMode.PassRate ? own.PassRates : null),
            new Lazy<SavedOptions>(() => SavedOptions.Of(optimizer.Options, own, prompts, optimizer.Identity, services.Evaluator)),
            logger ?? (ILogger)NullLogger.Instance);
    }

    /// <summary>Trains to the end, or until <see cref="TrainerOptions.Guard"/> stops the run.</summary>
    /// <remarks>
    /// Before any exception but <see cref="TrainingDivergedException"/> the checkpoint of the last whole step is written, if there is a
    /// store, unless a step failed half-way. If that fails as well, the first exception surfaces; the log and
    /// <see cref="TrainingSummary.Failure"/> tell both.
    /// </remarks>
    /// <param name="cancellationToken">Stops within a token; a checkpoint is written before the exception.</param>
    /// <exception cref="OperationCanceledException">The run was canceled.</exception>
    /// <exception cref="InvalidOperationException">Another run trains the same policy.</exception>
    /// <exception cref="ObjectDisposedException">The optimizer was disposed.</exception>
    /// <exception cref="InvalidDataException">
    /// A checkpoint cannot be resumed: the message names the file, or every option and part of the run that differs. Or all checkpoints
    /// are damaged.
    /// </exception>
    /// <exception cref="IOException">
    /// Another run uses the folder of the checkpoints, or a checkpoint cannot be written and
    /// <see cref="TrainerOptions.OnCheckpointFailure"/> says to stop.
    /// </exception>
    public async Task<TrainingSummary> TrainAsync(CancellationToken cancellationToken = default)
    {
        using IDisposable claims = Claim();
        TrainingSession session = await OpenAsync(cancellationToken).ConfigureAwait(false);
        await foreach (TrainingStep _ in StepsAsync(session, cancellationToken).ConfigureAwait(false))
        {
            // The callbacks have seen it.
        }

        return session.Summarize();
    }

    /// <summary>Trains step by step. Leaving the loop ends the run, with a checkpoint of the last step.</summary>
    /// <remarks>
    /// Exceptions are those of <see cref="TrainAsync"/>. A checkpoint that cannot be written when the loop is left is an exception too. It
    /// is thrown from the end of the loop, in place of one that has left it.
    /// </remarks>
    /// <param name="cancellationToken">Stops within a token; a checkpoint is written before the exception.</param>
    /// <exception cref="OperationCanceledException">The run was canceled.</exception>
    public async IAsyncEnumerable<TrainingStep> RunAsync([EnumeratorCancellation] CancellationToken cancellationToken = default)
    {
        using IDisposable claims = Claim();
        TrainingSession session = await OpenAsync(cancellationToken).ConfigureAwait(false);
        await foreach (TrainingStep step in StepsAsync(session, cancellationToken).ConfigureAwait(false))
        {
            yield return step;
        }
    }

    // The policy and the folder of the checkpoints belong to one run at a time.
    private IDisposable Claim()
    {
        IDisposable run = _parts.Optimizer.BeginRun($"{nameof(GrpoTrainer)}.{nameof(RunAsync)}");
        try
        {
            return new Claims(run, _parts.Store?.BeginRun());
        }
        catch
        {
            run.Dispose();
            throw;
        }
    }

    private async Task<TrainingSession> OpenAsync(CancellationToken cancellationToken)
    {
        string? resumedFrom = await ResumeAsync(cancellationToken).ConfigureAwait(false);
        return new TrainingSession(_parts, _progress, resumedFrom);
    }

    private async IAsyncEnumerable<TrainingStep> StepsAsync(
        TrainingSession session, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        try
        {
            await foreach (TrainingStep step in session.RunAsync(cancellationToken).ConfigureAwait(false))
            {
                yield return step;
            }
        }
        finally
        {
            _progressStep = session.LastStep;
        }
    }

    // The folder of the checkpoint that the run resumes from; null when it resumes from none.
    private async Task<string?> ResumeAsync(CancellationToken cancellationToken)
    {
        (GrpoOptimizer optimizer, TrainerOptions options, PromptSchedule schedule) = (_parts.Optimizer, _parts.Options, _parts.Schedule);
        if (_parts.Store is not null)
        {
            _ = _parts.SavedOptions.Value; // a plug-in that cannot say what it is fails here, and not with the first checkpoint
        }

        if (options.Resume && _parts.Store is { } store &&
            await store.FindLatestAsync(cancellationToken).ConfigureAwait(false) is { } latest)
        {
            ResumeCheck.Require(latest, _parts.SavedOptions.Value, options.AllowOptionChanges, _parts.Logger);
            TrainerState? state = TrainerState.Read(latest); // before the weights change
            optimizer.Load(latest);
            _parts.Logger.Resumed(latest, optimizer.Step);
            _progress = state?.ToProgress(options.Guard.EntropySteps) ?? new TrainingProgress();
            schedule.Reset(optimizer.Step);
            if (state?.Position is { } position && schedule.IsAdaptive)
            {
                schedule.Restore(position, state.PassRates);
            }

            // The mark may be missing or another: a crash may have come between the checkpoint and its mark.
            if (_progress.Best is { Step: var best } && RunCheckpoints.Keeps(best, options))
            {
                _progress.Best = _progress.Best with { Folder = await store.MarkBestAsync(best, cancellationToken).ConfigureAwait(false) };
                if (_progress.Best.Folder is null)
                {
                    _parts.Logger.BestCheckpointMissing(best);
                }
            }

            return latest;
        }

        optimizer.RequireWhole();
        if (_progressStep != optimizer.Step)
        {
            // Not the run that this trainer left, if it left one.
            _progress = new TrainingProgress();
            schedule.Reset(optimizer.Step);
        }

        return null;
    }

    private sealed class Claims(IDisposable run, IDisposable? folder) : IDisposable
    {
        public void Dispose()
        {
            folder?.Dispose();
            run.Dispose();
        }
    }
}
