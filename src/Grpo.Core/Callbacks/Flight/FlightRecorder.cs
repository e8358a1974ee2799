using Grpo.IO;
using Grpo.Modeling;
using Grpo.Optimization;
using Grpo.Training;

namespace Grpo.Callbacks;

/// <summary>
/// A callback that records every step in flight.bin: tokens, log-probs, rewards, advantages, losses, seeds and a hash of the weights. The
/// steps can then be inspected (<see cref="FlightRecord"/>) and computed again (<see cref="FlightReplay"/>). It changes no
/// number of the run.
/// </summary>
/// <remarks>
/// Every step is flushed to the disk before its checkpoint is written. A resumed run first drops the steps after its checkpoint, because
/// they run again, and an incomplete last record. So the file holds every step once, however often the run was killed. The file is opened
/// when a run starts, after the run has claimed its folder of checkpoints, and closed when the run ends. Each step of the run costs a
/// <see cref="WeightHash"/> and the download of the update's log-probs. A run can have several recorders, each with its own folder.
/// </remarks>
public sealed class FlightRecorder : ITrainingCallback, IStepObserverFactory, IDisposable
{
    private static readonly IReadOnlyDictionary<string, string> Nothing = new Dictionary<string, string>();

    private readonly IReadOnlyDictionary<string, string> _about;
    private FlightFile? _file;
    private StepCapture? _capture;
    private bool _disposed;

    /// <summary>Creates the recorder. It writes nothing before a run starts.</summary>
    /// <param name="directory">The folder of the file. It is created if it is missing.</param>
    /// <param name="about">Facts for a later replay, such as the name of the model. Null for none.</param>
    public FlightRecorder(string directory, IReadOnlyDictionary<string, string>? about = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(directory);
        _about = about ?? Nothing;
        FilePath = Path.Combine(directory, FlightFile.FileName);
    }

    /// <summary>The path of the file.</summary>
    public string FilePath { get; }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">A new run starts, but the file holds the steps of another run.</exception>
    /// <exception cref="InvalidDataException">
    /// The existing flight.bin is not a flight record, has another version, or is damaged.
    /// </exception>
    /// <exception cref="IOException">The folder cannot be written to, or another recorder is writing the file.</exception>
    public ValueTask OnStartAsync(TrainingStart start, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(start);
        ObjectDisposedException.ThrowIf(_disposed, this);
        FlightFile file = _file ??= Open();
        if (!start.Resumes && start.FirstStep == 0 && file.LastStep is { } last)
        {
            throw new InvalidOperationException(
                $"'{FilePath}' holds {last} steps of another run. Resume that run, choose another folder, or move the file away.");
        }

        Write(() =>
        {
            file.CutAfter(start.FirstStep);
            file.Verify();
            var settings = new FlightWriter();
            FlightSettings.From(start.Options, _about).Write(settings);
            if (!IsLastSettings(file, settings.Written))
            {
                file.Append(FlightKind.Settings, step: 0, settings.Written);
            }

            file.Flush();
        });
        WarnOfGaps(file, start);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">
    /// The trainer did not observe the step for this recorder, the step is already recorded, or no run has started.
    /// </exception>
    /// <exception cref="IOException">The disk is full, or the file has become unwritable.</exception>
    /// <remarks>Ignores the token: the step is done, so a run that is being canceled still records it.</remarks>
    public ValueTask OnStepAsync(TrainingStep step, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(step);
        FlightFile file = _file ?? throw new InvalidOperationException(
            $"Step {step.Step} comes without the beginning of its run: call OnStartAsync first, as the trainer does.");
        FlightStep record = _capture?.Step is { } captured && captured.Step == step.Step ? captured : throw new InvalidOperationException(
            $"Step {step.Step} was not observed: only a GrpoTrainer lets its callbacks see a step from the inside. "
            + "Give the recorder to the trainer as one of its callbacks.");
        _capture = null;
        Write(() =>
        {
            var payload = new FlightWriter();
            FlightStepCodec.Write(payload, record);
            file.Append(FlightKind.Step, record.Step, payload.Written);
            file.Flush();
        });
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask OnEndAsync(TrainingSummary summary)
    {
        Close();
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    IStepObserver IStepObserverFactory.Observe(IPolicy policy, ulong seed) => _capture = new StepCapture(policy, seed);

    /// <summary>Closes the file.</summary>
    public void Dispose()
    {
        Close();
        _disposed = true;
    }

    // The run does not repeat steps that its checkpoint includes, so their missing records stay missing.
    private void WarnOfGaps(FlightFile file, TrainingStart start)
    {
        long last = file.LastStep ?? 0;
        if (start.Checkpoint is not null && last < start.FirstStep)
        {
            start.Warn?.Invoke(file.RemovedStep == start.FirstStep
                ? $"'{FilePath}': the record of step {start.FirstStep} was damaged and has been removed."
                : $"'{FilePath}' has no record of steps {last + 1} to {start.FirstStep}, which the checkpoint '{start.Checkpoint}' holds. "
                + "Training goes on.");
        }
    }

    private static bool IsLastSettings(FlightFile file, ReadOnlySpan<byte> settings)
    {
        FlightFrame? last = file.Frames.Where(frame => frame.Kind == FlightKind.Settings).Select(frame => (FlightFrame?)frame)
            .LastOrDefault();
        return last is { } frame && settings.SequenceEqual(file.Read(frame));
    }

    private FlightFile Open()
    {
        try
        {
            Directory.CreateDirectory(Path.GetDirectoryName(FilePath)!);
            return FlightFile.OpenWrite(FilePath);
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or IOException)
        {
            throw Failure(exception, "Choose another folder.");
        }
    }

    private void Close()
    {
        _file?.Dispose();
        _file = null;
    }

    private void Write(Action write)
    {
        try
        {
            write();
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or IOException)
        {
            throw Failure(exception, "See to its permissions, and resume.");
        }
    }

    private IOException Failure(Exception cause, string remedy) =>
        new($"'{FilePath}' cannot be written: {cause.Message} {WriteFailure.Remedy(cause, FilePath, remedy)}", cause);
}
