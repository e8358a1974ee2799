using Grpo.Callbacks;
using Grpo.Checkpoints;
using Grpo.Tensors;
using Microsoft.Extensions.Logging;

namespace Grpo.Training;

/// <summary>The checkpoints that a run writes: when there is something new, the best one marked, and failures as configured.</summary>
internal sealed class RunCheckpoints(RunParts parts, TrainingProgress progress)
{
    private readonly GrpoOptimizer _optimizer = parts.Optimizer;
    private readonly TrainerOptions _options = parts.Options;
    private readonly ICheckpointStore? _store = parts.Store;
    private readonly TimeProvider _clock = parts.Services.Clock;
    private readonly ILogger _logger = parts.Logger;
    private long _step = -1;
    private long _wholeStep = parts.Optimizer.Step;
    private long _lastTried = parts.Services.Clock.GetTimestamp();
    private bool _changed;
    private Exception? _failure;

    /// <summary>The last one that was written; null before the first.</summary>
    public string? Folder { get; private set; }

    /// <summary>The checkpoint of a step; null when there is none.</summary>
    public string? FolderOf(long step) => _step == step ? Folder : null;

    /// <summary>True if <see cref="TrainerOptions.CheckpointInterval"/> has passed since a checkpoint was last written, or tried.</summary>
    public bool IsTimeUp => _options.CheckpointInterval > TimeSpan.Zero && _clock.GetElapsedTime(_lastTried) >= _options.CheckpointInterval;

    /// <summary>Adds the files of others to a checkpoint's folder.</summary>
    public Action<string>? OnWrite { get; set; }

    /// <summary>Says that the last checkpoint does not hold all there is, and that weights and records are of the same step.</summary>
    public void Change()
    {
        _changed = true;
        _wholeStep = _optimizer.Step;
    }

    /// <summary>Says that weights and records are of different steps until the next <see cref="Change"/>.</summary>
    public void Suspend() => _wholeStep = -1;

    /// <summary>
    /// Whether the best evaluation has a checkpoint: the caller has the model as it was before training, only a roll-back needs
    /// it on the disk.
    /// </summary>
    public static bool Keeps(long step, TrainerOptions options) =>
        options.KeepBest && (step > 0 || options.Guard.OnCollapse == CollapseAction.RollBack);

    /// <summary>Whether the best evaluation has a checkpoint, or will have one after the step that is under way.</summary>
    public bool KeepsBest => _store is not null && progress.Best is { } best && Keeps(best.Step, _options);

    /// <summary>Writes a checkpoint unless the last one holds all there is.</summary>
    /// <param name="isLast">Whether nothing follows, so that a failure cannot be passed over.</param>
    /// <remarks>A checkpoint is worth more than a quick exit: no token stops it.</remarks>
    public Task SaveAsync(bool isLast) => _changed && _store is not null ? WriteAsync(_store, isLast) : Task.CompletedTask;

    /// <summary>Writes the checkpoint of the last whole step, at the end of a run that did not come to its last step.</summary>
    /// <param name="failure">The failure that ended the run; null where it was stopped.</param>
    public Task SaveLastAsync(Exception? failure)
    {
        if (!_changed || _store is null || (failure is not null && ReferenceEquals(failure, _failure)))
        {
            return Task.CompletedTask; // the last: it is this checkpoint that could not be written
        }

        if (failure is TrainingDivergedException)
        {
            _logger.LastCheckpointLeftOut("the policy has diverged.");
            return Task.CompletedTask;
        }

        if (!_optimizer.IsWhole || _optimizer.Step != _wholeStep)
        {
            _logger.LastCheckpointLeftOut("a step failed when a part of it was done, and what it has changed cannot be taken back.");
            return Task.CompletedTask;
        }

        return WriteAsync(_store, isLast: true);
    }

    /// <summary>Writes and marks the checkpoint of the best evaluation, when that is the one of this step.</summary>
    public async Task SaveBestAsync(long step)
    {
        if (KeepsBest && progress.Best is { Folder: null } best && best.Step == step
            && await WriteAsync(_store!, isLast: false).ConfigureAwait(false))
        {
            await TryAsync(
                isLast: false,
                async () =>
                    progress.Best = best with { Folder = await _store!.MarkBestAsync(step, CancellationToken.None).ConfigureAwait(false) },
                _logger.BestMarkFailed,
                "was written, but it could not be marked as the best").ConfigureAwait(false);
        }
    }

    private Task<bool> WriteAsync(ICheckpointStore into, bool isLast) => TryAsync(
        isLast,
        async () =>
        {
            Folder = await CheckedServices.SaveAsync(into, _optimizer.Step, Write).ConfigureAwait(false);
            _step = _optimizer.Step;
            _changed = false;
            FreedMemory.Trim();
            _logger.CheckpointWritten(Folder);
        },
        _logger.CheckpointFailed,
        "was not written");

    // Whether it could be done; a failure that must not be passed over comes through.
    private async Task<bool> TryAsync(bool isLast, Func<Task> write, Action<Exception, long> log, string what)
    {
        try
        {
            await write().ConfigureAwait(false);
            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException
            && _options.OnCheckpointFailure == CheckpointFailureAction.Continue && !isLast)
        {
            log(exception, _optimizer.Step);
            progress.Events.Add(FormattableString.Invariant($"The checkpoint of step {_optimizer.Step} {what}: {exception.Message}"));
            return false;
        }
        catch (Exception exception)
        {
            _failure = exception;
            throw;
        }
        finally
        {
            _lastTried = _clock.GetTimestamp(); // only now: a save may take longer than the time between two
        }
    }

    private void Write(string folder)
    {
        _optimizer.Save(folder);
        TrainerState.Of(progress, parts.Schedule).Write(folder);
        parts.SavedOptions.Value.Write(folder);
        OnWrite?.Invoke(folder);
        parts.Services.Task?.Write(folder);
    }
}
