namespace Grpo.Callbacks;

/// <summary>Reads what a <see cref="FlightRecorder"/> wrote, also while it is writing: then the steps that were there when it was opened.</summary>
/// <remarks>The file is not trusted: every record has a checksum, and no number in it makes the reader allocate more than its bytes could fill.</remarks>
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

    /// <summary>The file.</summary>
    public string FilePath { get; }

    /// <summary>The steps that it holds, ascending. One that diverged and was rolled back is not among them.</summary>
    public IReadOnlyList<long> Steps { get; }

    /// <summary>Whether its end is an incomplete record: the process died while writing it, or is writing it now.</summary>
    public bool IsCutShort => _file.IsCutShort;

    /// <summary>Opens a record. Only the heads of its steps are read.</summary>
    /// <param name="path">The file, or the folder that it is in.</param>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    /// <exception cref="InvalidDataException">It is something else, of another version, or damaged; the message says at which byte.</exception>
    public static FlightRecord Open(string path)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        string file = Directory.Exists(path) ? Path.Combine(path, FlightFile.FileName) : path;
        if (!File.Exists(file))
        {
            throw new FileNotFoundException($"There is no flight record at '{file}'. A run has one when it is trained with a FlightRecorder.", file);
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

    /// <summary>Reads a step.</summary>
    /// <param name="step">One of <see cref="Steps"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">The step is not there; the message says which are.</exception>
    /// <exception cref="InvalidDataException">It is damaged.</exception>
    public FlightStep Read(long step) => Decode(_file.Frames[IndexOf(step)], static (ref reader, frame) => FlightStepCodec.Read(ref reader, frame.Step));

    /// <summary>The settings that a step was made with.</summary>
    /// <param name="step">One of <see cref="Steps"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">The step is not there; the message says which are.</exception>
    /// <exception cref="InvalidDataException">They are damaged or missing.</exception>
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

    /// <summary>Numbers as people write them: "1-3, 7".</summary>
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

        return ranges.Count == 0 ? "none" : string.Join(", ", ranges.Select(range => range.First == range.Last ? $"{range.First}" : $"{range.First}-{range.Last}"));
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
            // The checksum is right, so these bytes were written so.
            throw new InvalidDataException($"'{FilePath}' holds at byte {frame.Position} what no recorder writes: {exception.Message}.", exception);
        }
    }
}
