using System.Text;
using System.Text.Json;

namespace Grpo.IO;

/// <summary>A file of one JSON object a line, to which whole lines are appended and flushed to the disk.</summary>
internal sealed class JsonLinesFile : IDisposable
{
    private static readonly byte[] NewLine = [(byte)'\n'];

    private readonly string _path;
    private FileStream _file;
    private long _length;

    public JsonLinesFile(string path)
    {
        (_path, _file) = (path, Open(path));
        _length = _file.Length;
    }

    /// <summary>The lines that a run has given to the file, those that could not be written included.</summary>
    public long Count { get; set; }

    public void Append(Action<Utf8JsonWriter> write)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            write(json);
            json.WriteEndObject();
        }

        buffer.Write(NewLine);
        try
        {
            _file.Write(buffer.GetBuffer(), 0, (int)buffer.Length);
        }
        catch (IOException)
        {
            RemoveHalf();
            throw;
        }

        _length += buffer.Length;
    }

    /// <summary>Everything appended is on the disk afterwards.</summary>
    /// <exception cref="IOException">The disk is full, or the file is not the one that was opened any more.</exception>
    public void Flush()
    {
        _file.Flush(flushToDisk: true);
        RequireThere();
    }

    /// <summary>Requires that the file is still there, as the last flush has left it: it may have been removed while it is open.</summary>
    /// <exception cref="FileNotFoundException">It is gone, or something else has changed it.</exception>
    public void RequireThere() => WriteFailure.RequireThere(_path, _length);

    /// <summary>
    /// Removes the lines of later steps, and a last line that was cut short. Written beside, flushed and renamed: the file is either as it was
    /// or without them. The lines that are left are counted.
    /// </summary>
    public void DropAfter(long step) => Count = Rewrite(line => IsWhole(line) && !(StepOf(line) > step) ? line : null);

    /// <summary>Puts numbers into the line of a step, in place of those of the same names. The other fields keep their order and their digits.</summary>
    /// <param name="step">The step.</param>
    /// <param name="numbers">The numbers.</param>
    /// <param name="before">How the names begin that stand behind them.</param>
    public void Amend(long step, IReadOnlyList<KeyValuePair<string, double>> numbers, IReadOnlyList<string> before) =>
        Rewrite(line => IsWhole(line) && StepOf(line) == step ? Amended(line, numbers, before) : line);

    // Null drops a line. Nothing is written when nothing changes. Gives the number of whole lines that are there afterwards.
    private long Rewrite(Func<string, string?> change)
    {
        _file.Dispose();
        try
        {
            (long count, bool isChanged) = (0, false);
            foreach (string line in Lines())
            {
                string? kept = change(line);
                count += kept is not null && IsWhole(kept) ? 1 : 0;
                isChanged |= kept != line;
            }

            if (isChanged)
            {
                string temporary = _path + ".tmp";
                using (var kept = new FileStream(temporary, FileMode.Create, FileAccess.Write))
                {
                    foreach (string line in Lines().Select(change).OfType<string>())
                    {
                        kept.Write(Encoding.UTF8.GetBytes(line));
                    }

                    kept.Flush(flushToDisk: true);
                }

                File.Move(temporary, _path, overwrite: true);
            }

            return count;
        }
        finally
        {
            _file = Open(_path);
            _length = _file.Length;
        }
    }

    public void Dispose() => _file.Dispose();

    // Without a buffer: what a full disk has left in one would fail again when the file is closed.
    private static FileStream Open(string path) => new(path, FileMode.Append, FileAccess.Write, FileShare.Read, bufferSize: 0);

    // A line of which a full disk has taken a part only. Where that fails too, a run that resumes drops the half line.
    private void RemoveHalf()
    {
        try
        {
            _file.SetLength(_length);
        }
        catch (IOException)
        {
            // The failure to write is the one to tell.
        }
    }

    // With their line ends, so that a line without one can be told: it was cut short when the process died.
    private IEnumerable<string> Lines()
    {
        using var file = new StreamReader(_path, Encoding.UTF8);
        var line = new StringBuilder();
        var block = new char[1 << 14];
        for (int read; (read = file.Read(block)) > 0;)
        {
            foreach (char letter in block.AsSpan(0, read).ToArray())
            {
                line.Append(letter);
                if (letter == '\n')
                {
                    yield return line.ToString();
                    line.Clear();
                }
            }
        }

        if (line.Length > 0)
        {
            yield return line.ToString();
        }
    }

    private static bool IsWhole(string line) => line.EndsWith('\n');

    // Null where there is none: such a line is not ours to change.
    private static double? StepOf(string line)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(line);
            // All names are looked at: those of a line that is ours can be read.
            return json.RootElement.ValueKind == JsonValueKind.Object
                && json.RootElement.EnumerateObject().LastOrDefault(field => field.Name == "step") is { Value.ValueKind: JsonValueKind.Number } step
                && step.Value.TryGetDouble(out double number) ? number : null;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // The latter: a name with half a surrogate pair in it, which is not ours either.
            return null;
        }
    }

    private static string Amended(string line, IReadOnlyList<KeyValuePair<string, double>> numbers, IReadOnlyList<string> before)
    {
        using JsonDocument json = JsonDocument.Parse(line);
        JsonProperty[] others = [.. json.RootElement.EnumerateObject().Where(field => numbers.All(number => number.Key != field.Name))];
        int place = Array.FindIndex(others, field => before.Any(name => field.Name.StartsWith(name, StringComparison.Ordinal)));
        place = place < 0 ? others.Length : place;
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            Array.ForEach(others[..place], field => field.WriteTo(writer));
            foreach ((string name, double value) in numbers)
            {
                writer.WriteNumber(name, value);
            }

            Array.ForEach(others[place..], field => field.WriteTo(writer));
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.ToArray()) + '\n';
    }
}
