using System.Runtime.CompilerServices;
using Grpo.IO;
using Grpo.Rollouts;
using Grpo.Training;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grpo;

/// <summary>
/// The training loop around a <see cref="GrpoOptimizer"/>. It chooses prompts, evaluates, writes checkpoints, keeps the best one, detects
/// collapse, calls callbacks and can be canceled and resumed.
/// </summary>
/// <remarks>
/// <para>
/// The prompts and the random numbers of a step depend only on the seed and the step, and with a curriculum also on the recorded pass
/// rates. A checkpoint holds these records, the options and the identities of the plug-ins (<see cref="IHasIdentity"/>). A resumed run
/// therefore equals an uninterrupted one, and a run that differs from the one that wrote the checkpoint is refused.
/// </para>
/// <para>
/// Checkpoints of earlier versions can be resumed. Without <c>trainer_state.json</c> the records start empty. Without
/// <c>run_options.json</c>, or without identities in it, a warning says that nothing was compared.
/// </para>
/// </remarks>
public sealed class GrpoTrainer
{
    private readonly RunParts _parts;
    private TrainingProgress _progress = new();
    private long _progressStep = -1;

    /// <summary>Creates a trainer.</summary>
    /// <param name="optimizer">The optimizer that performs the steps. Borrowed.</param>
    /// <param name="prompts">The data set. At least one prompt, each with an id of its own.</param>
    /// <param name="options">The options of the loop. Null uses the defaults.</param>
    /// <param name="services">The evaluator, checkpoint store, task description and callbacks. Null uses none.</param>
    /// <param name="logger">The log. Null logs nothing.</param>
    /// <exception cref="ArgumentException">
    /// There are no prompts, two share an id, the sampler would refuse some (<see cref="IPromptChecker"/>), or an option is out of range.
    /// Or roll-backs are on without the evaluator and checkpoints that they need.
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

        // Random numbers are derived from the id, so two prompts with one id would get the same ones.
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
            new Lazy<SavedOptions>(() => SavedOptions.Create(optimizer.Options, own, prompts, optimizer.Identity, services.Evaluator)),
            logger ?? (ILogger)NullLogger.Instance);
    }

    /// <summary>Trains to the last step, or until <see cref="TrainerOptions.Guard"/> stops the run.</summary>
    /// <returns>The results of the run.</returns>
    /// <remarks>
    /// With a checkpoint store, the checkpoint of the last whole step is written before any exception except
    /// <see cref="TrainingDivergedException"/>, unless a step failed half-way. If that write fails too, the first exception is thrown; the
    /// log and <see cref="TrainingSummary.Failure"/> report both.
    /// </remarks>
    /// <param name="cancellationToken">A token that stops the run within one sampled token. A checkpoint is written first.</param>
    /// <exception cref="OperationCanceledException">The run was canceled.</exception>
    /// <exception cref="InvalidOperationException">Another run trains the same policy.</exception>
    /// <exception cref="ObjectDisposedException">The optimizer was disposed.</exception>
    /// <exception cref="InvalidDataException">
    /// The run cannot resume from the checkpoint: the message names the file, or every option and part of the run that differs. Or all
    /// checkpoints are damaged.
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
            // The callbacks have seen the step.
        }

        return session.Summarize();
    }

    /// <summary>Trains and returns each step as it is done. Leaving the loop ends the run with a checkpoint of the last step.</summary>
    /// <remarks>
    /// Throws the same exceptions as <see cref="TrainAsync"/>. If the checkpoint cannot be written when the caller leaves the loop, the end
    /// of the loop throws, and this exception replaces one that left the loop.
    /// </remarks>
    /// <param name="cancellationToken">A token that stops the run within one sampled token. A checkpoint is written first.</param>
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

    // One run at a time may use the policy and the folder of the checkpoints.
    private Claims Claim()
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

    // Returns the folder of the checkpoint that the run resumes from; null if there is none.
    private async Task<string?> ResumeAsync(CancellationToken cancellationToken)
    {
        (GrpoOptimizer optimizer, TrainerOptions options, PromptSchedule schedule) = (_parts.Optimizer, _parts.Options, _parts.Schedule);
        if (_parts.Store is not null)
        {
            _ = _parts.SavedOptions.Value; // a plug-in whose identity throws fails here, not at the first checkpoint
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

            // Mark again: a crash between the checkpoint and its mark leaves no mark or an old one.
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
            // The optimizer has moved since this trainer last ran, so its records belong to another run.
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
