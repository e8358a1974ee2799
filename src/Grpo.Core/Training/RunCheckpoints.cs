using Grpo.Checkpoints;
using Grpo.Tensors;
using Microsoft.Extensions.Logging;

namespace Grpo.Training;

/// <summary>Writes the checkpoints of a run, marks the best one, and treats failures as configured.</summary>
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

    /// <summary>The folder of the last checkpoint that was written; null before the first.</summary>
    public string? Folder { get; private set; }

    /// <summary>Returns the folder of the checkpoint of a step; null if there is none.</summary>
    public string? FolderOf(long step) => _step == step ? Folder : null;

    /// <summary>True if <see cref="TrainerOptions.CheckpointInterval"/> has passed since the last attempt to write a checkpoint.</summary>
    public bool IsTimeUp => _options.CheckpointInterval > TimeSpan.Zero && _clock.GetElapsedTime(_lastTried) >= _options.CheckpointInterval;

    /// <summary>A method that adds further files to the folder of a checkpoint.</summary>
    public Action<string>? OnWrite { get; set; }

    /// <summary>Marks the run as changed since the last checkpoint, with weights and records of the same step.</summary>
    public void Change()
    {
        _changed = true;
        _wholeStep = _optimizer.Step;
    }

    /// <summary>Marks weights and records as being of different steps until the next <see cref="Change"/>.</summary>
    public void Suspend() => _wholeStep = -1;

    /// <summary>
    /// Returns true if the best evaluation needs a checkpoint. Step 0 needs one only for a roll-back, because the caller has that model.
    /// </summary>
    public static bool Keeps(long step, TrainerOptions options) =>
        options.KeepBest && (step > 0 || options.Guard.OnCollapse == CollapseAction.RollBack);

    /// <summary>True if the best evaluation has a checkpoint, or gets one after the current step.</summary>
    public bool KeepsBest => _store is not null && progress.Best is { } best && Keeps(best.Step, _options);

    /// <summary>Writes a checkpoint if anything has changed since the last one.</summary>
    /// <param name="isLast">True if no other checkpoint follows, so that a failure must surface.</param>
    /// <remarks>It cannot be canceled, because a checkpoint is worth more than a quick exit.</remarks>
    public Task SaveAsync(bool isLast) => _changed && _store is not null ? WriteAsync(_store, isLast) : Task.CompletedTask;

    /// <summary>Writes the checkpoint of the last whole step at the end of a run that did not reach its last step.</summary>
    /// <param name="failure">The exception that ended the run; null if it was stopped.</param>
    public Task SaveLastAsync(Exception? failure)
    {
        if (!_changed || _store is null || (failure is not null && ReferenceEquals(failure, _failure)))
        {
            return Task.CompletedTask; // nothing is new, or the run failed because of this very checkpoint
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

    /// <summary>Writes a checkpoint and marks it as the best one if the best evaluation is that of this step.</summary>
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

    private Task<bool> WriteAsync(ICheckpointStore store, bool isLast) => TryAsync(
        isLast,
        async () =>
        {
            Folder = await CheckedServices.SaveAsync(store, _optimizer.Step, Write).ConfigureAwait(false);
            _step = _optimizer.Step;
            _changed = false;
            FreedMemory.Trim();
            _logger.CheckpointWritten(Folder);
        },
        _logger.CheckpointFailed,
        "was not written");

    // Returns true if the action succeeded. A failure that must surface is thrown.
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
            _lastTried = _clock.GetTimestamp(); // after the write, which may take longer than the interval
        }
    }

    private void Write(string folder)
    {
        _optimizer.Save(folder);
        TrainerState.From(progress, parts.Schedule).Write(folder);
        parts.SavedOptions.Value.Write(folder);
        OnWrite?.Invoke(folder);
        parts.Services.Task?.Write(folder);
    }
}

/// <summary>The reaction of a training run to a checkpoint that cannot be written.</summary>
public enum CheckpointFailureAction
{
    /// <summary>The run ends with the error. Earlier checkpoints stay as they are.</summary>
    Stop,

    /// <summary>
    /// The error is logged and told in the next step's report, and the run continues. The next due checkpoint is a new attempt. A failure
    /// of the last checkpoint of a run is thrown in any case, because the steps since the one before would be lost.
    /// </summary>
    Continue,
}
