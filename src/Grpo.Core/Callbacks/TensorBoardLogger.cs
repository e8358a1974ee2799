using System.Buffers.Binary;
using System.Globalization;
using System.Numerics;
using Google.Protobuf;
using Grpo.Evaluation;
using Grpo.IO;
using Grpo.Training;
using Tensorboard;

namespace Grpo.Callbacks;

/// <summary>A callback that writes the metrics of metrics.jsonl, under the same names, as scalars to a TensorBoard event file.</summary>
/// <remarks>
/// It writes and flushes one event per step, so a run that dies leaves only complete records. It uses TorchSharp's messages, but not its
/// SummaryWriter. That class stamps ticks where TensorBoard reads seconds since 1970, takes other times as float32 (two minutes apart), and
/// reopens the file for every number.
/// </remarks>
public sealed class TensorBoardLogger : ITrainingCallback, IDisposable
{
    private const string FileVersion = "brain.Event:2";

    private static int _files;

    private readonly string _directory;
    private FileStream? _file;

    /// <summary>
    /// Creates the logger. It creates a new event file when the run starts, as TensorBoard expects. Event files of earlier runs in the
    /// folder are kept, and TensorBoard shows them together.
    /// </summary>
    /// <param name="directory">The folder of the event files. It is created if it is missing.</param>
    public TensorBoardLogger(string directory)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        _directory = directory;
    }

    /// <inheritdoc/>
    /// <exception cref="IOException">The folder cannot be written.</exception>
    /// <remarks>For a resumed run, it writes an event that makes TensorBoard drop the repeated steps of earlier files.</remarks>
    public ValueTask OnStartAsync(TrainingStart start, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(start);
        Open();
        if (start.Resumes || start.FirstStep > 0)
        {
            Append(new Event
            {
                WallTime = Now(),
                Step = start.FirstStep + 1,
                SessionLog = new SessionLog { Status = SessionLog.Types.SessionStatus.Start },
            });
        }

        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    /// <exception cref="IOException">The disk is full, or the file has vanished or become unwritable.</exception>
    public ValueTask OnStepAsync(TrainingStep step, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(step);
        AppendMetrics(step.Step, StepMetrics.From(step));
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask OnEvaluationAsync(long step, EvaluationReport evaluation, CancellationToken cancellationToken = default)
    {
        ArgumentNullException.ThrowIfNull(evaluation);
        AppendMetrics(step, StepMetrics.From(evaluation));
        return ValueTask.CompletedTask;
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file?.Dispose();

    private static double Now() => DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0;

    private void AppendMetrics(long step, IEnumerable<KeyValuePair<string, double>> metrics)
    {
        var summary = new Summary();
        foreach ((string name, double value) in metrics.Where(metric => metric.Key != "step"))
        {
            summary.Value.Add(new Summary.Types.Value { Tag = name, SimpleValue = (float)value });
        }

        Append(new Event { WallTime = Now(), Step = step, Summary = summary });
    }

    private FileStream Open()
    {
        if (_file is not null)
        {
            return _file;
        }

        FileStream? file = null;
        try
        {
            Directory.CreateDirectory(_directory);
            long seconds = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
            string name = string.Create(
                CultureInfo.InvariantCulture,
                $"events.out.tfevents.{seconds:D10}.grpo.{Environment.ProcessId}.{Interlocked.Increment(ref _files)}");
            file = new FileStream(Path.Combine(_directory, name), FileMode.CreateNew, FileAccess.Write, FileShare.Read, bufferSize: 0);
            Write(file, new Event { WallTime = Now(), FileVersion = FileVersion });
            return _file = file;
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or IOException)
        {
            file?.Dispose();
            throw Failure(exception, "Choose another folder.");
        }
    }

    private void Append(Event message)
    {
        FileStream file = Open();
        try
        {
            WriteFailure.RequireThere(file.Name, file.Length);
            Write(file, message);
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or IOException)
        {
            throw Failure(exception, "See to its permissions, and resume.");
        }
    }

    private IOException Failure(Exception cause, string remedy) =>
        new(
            $"The TensorBoard folder '{_directory}' cannot be written: {cause.Message} {WriteFailure.Remedy(cause, _directory, remedy)}",
            cause);

    // A TFRecord: the length, its checksum, the message, its checksum; little-endian.
    private static void Write(FileStream file, Event message)
    {
        byte[] body = message.ToByteArray();
        var record = new byte[8 + 4 + body.Length + 4];
        BinaryPrimitives.WriteInt64LittleEndian(record, body.Length);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(8), MaskedCrc(record.AsSpan(0, 8)));
        body.CopyTo(record, 12);
        BinaryPrimitives.WriteUInt32LittleEndian(record.AsSpan(12 + body.Length), MaskedCrc(body));
        file.Write(record);
        file.Flush();
    }

    // A rotated CRC-32C plus a constant. A plain CRC would be weak for data that contains CRCs.
    private static uint MaskedCrc(ReadOnlySpan<byte> data)
    {
        uint crc = uint.MaxValue;
        foreach (byte value in data)
        {
            crc = BitOperations.Crc32C(crc, value);
        }

        return BitOperations.RotateRight(~crc, 15) + 0xA282EAD8;
    }
}
