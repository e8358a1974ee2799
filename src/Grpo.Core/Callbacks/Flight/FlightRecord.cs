namespace Grpo.Callbacks;

/// <summary>
/// A reader for the file of a <see cref="FlightRecorder"/>. It can read while the run is writing, and then has the steps at
/// the time of opening.
/// </summary>
/// <remarks>
/// The file is not trusted: every record has a checksum, and no number in it makes the reader allocate more than its bytes could fill.
/// </remarks>
public sealed class FlightRecord : IDisposable
{
    private readonly FlightFile _file;

    private FlightRecord(string path, FlightFile file)
    {
        FilePath = path;
        _file = file;
        Steps = [.. file.Frames.Where(frame => frame.Kind == FlightKind.Step).Select(frame => frame.Step)];
        for (int i = 1; i < Steps.Count; i++)
        {
            if (Steps[i] <= Steps[i - 1])
            {
                throw new InvalidDataException($"'{path}' has step {Steps[i]} after step {Steps[i - 1]}: no recorder writes that.");
            }
        }
    }

    /// <summary>The path of the file.</summary>
    public string FilePath { get; }

    /// <summary>The numbers of the recorded steps, in ascending order. A step that diverged and was rolled back is not recorded.</summary>
    public IReadOnlyList<long> Steps { get; }

    /// <summary>True if the last record is incomplete, because the process died while writing it or is still writing.</summary>
    public bool IsCutShort => _file.IsCutShort;

    /// <summary>Opens a record. It reads only the heads of the steps.</summary>
    /// <param name="path">The path of the file or of its folder.</param>
    /// <exception cref="FileNotFoundException">The file does not exist.</exception>
    /// <exception cref="InvalidDataException">
    /// The file is not a flight record, has another version, or is damaged. The message names the byte.
    /// </exception>
    public static FlightRecord Open(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        string file = Directory.Exists(path) ? Path.Combine(path, FlightFile.FileName) : path;
        if (!File.Exists(file))
        {
            throw new FileNotFoundException(
                $"There is no flight record at '{file}'. A run has one when it is trained with a FlightRecorder.", file);
        }

        FlightFile opened = FlightFile.OpenRead(file);
        try
        {
            return new FlightRecord(file, opened);
        }
        catch
        {
            opened.Dispose();
            throw;
        }
    }

    /// <summary>Reads the record of a step.</summary>
    /// <param name="step">The number of the step, one of <see cref="Steps"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">The step is not recorded; the message lists the recorded steps.</exception>
    /// <exception cref="InvalidDataException">The record is damaged.</exception>
    public FlightStep Read(long step) =>
        Decode(_file.Frames[IndexOf(step)], static (ref reader, frame) => FlightStepCodec.Read(ref reader, frame.Step));

    /// <summary>Reads the settings of the run at a step.</summary>
    /// <param name="step">The number of the step, one of <see cref="Steps"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">The step is not recorded; the message lists the recorded steps.</exception>
    /// <exception cref="InvalidDataException">The settings are damaged or missing.</exception>
    public FlightSettings SettingsOf(long step)
    {
        for (int i = IndexOf(step); i >= 0; i--)
        {
            if (_file.Frames[i].Kind == FlightKind.Settings)
            {
                return Decode(_file.Frames[i], static (ref reader, _) => FlightSettings.Read(ref reader));
            }
        }

        throw new InvalidDataException($"'{FilePath}' does not say what step {step} was made with.");
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file.Dispose();

    /// <summary>Formats numbers as ranges: "1-3, 7".</summary>
    internal static string Ranges(IEnumerable<long> numbers)
    {
        var ranges = new List<(long First, long Last)>();
        foreach (long number in numbers)
        {
            if (ranges.Count > 0 && ranges[^1].Last == number - 1)
            {
                ranges[^1] = (ranges[^1].First, number);
            }
            else
            {
                ranges.Add((number, number));
            }
        }

        return ranges.Count == 0
            ? "none"
            : string.Join(", ", ranges.Select(range => range.First == range.Last ? $"{range.First}" : $"{range.First}-{range.Last}"));
    }

    private int IndexOf(long step)
    {
        for (int i = 0; i < _file.Frames.Count; i++)
        {
            if (_file.Frames[i] is { Kind: FlightKind.Step } frame && frame.Step == step)
            {
                return i;
            }
        }

        throw new ArgumentOutOfRangeException(nameof(step), $"Step {step} is not in '{FilePath}'; its steps: {Ranges(Steps)}.");
    }

    private delegate T Decoder<out T>(ref FlightReader reader, FlightFrame frame);

    private T Decode<T>(FlightFrame frame, Decoder<T> decode)
    {
        byte[] payload = _file.Read(frame);
        try
        {
            var reader = new FlightReader(payload);
            T result = decode(ref reader, frame);
            return reader.IsAtEnd ? result : throw new InvalidDataException("it goes on after its end");
        }
        catch (InvalidDataException exception)
        {
            // The checksum is right, so the bytes are as they were written.
            throw new InvalidDataException(
                $"'{FilePath}' holds at byte {frame.Position} what no recorder writes: {exception.Message}.", exception);
        }
    }
}
