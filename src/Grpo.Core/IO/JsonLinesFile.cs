using System.Text;
using System.Text.Json;

namespace Grpo.IO;

/// <summary>A file with one JSON object per line. Whole lines are appended and flushed to the disk.</summary>
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

    /// <summary>The number of lines that a run has given to the file, including those that could not be written.</summary>
    public long Count { get; set; }

    /// <summary>Appends one line. If the disk is full, no part of the line stays in the file.</summary>
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
            RemovePartialLine();
            throw;
        }

        _length += buffer.Length;
    }

    /// <summary>Writes everything that was appended to the disk.</summary>
    /// <exception cref="IOException">The disk is full, or the file was removed or replaced since it was opened.</exception>
    public void Flush()
    {
        _file.Flush(flushToDisk: true);
        RequireThere();
    }

    /// <summary>
    /// Requires that the file still exists with its known length. An open file can be removed or changed by another process.
    /// </summary>
    /// <exception cref="FileNotFoundException">The file is gone, or something else has changed it.</exception>
    public void RequireThere() => WriteFailure.RequireThere(_path, _length);

    /// <summary>
    /// Removes the lines of later steps and a last line that was cut short, and counts the lines that are left. The new content goes to a
    /// temporary file, which is flushed and renamed, so the file is never half changed.
    /// </summary>
    public void DropAfter(long step) => Count = Rewrite(line => IsWhole(line) && !(StepOf(line) > step) ? line : null);

    /// <summary>
    /// Puts numbers into the line of a step and replaces those with equal names. The other fields keep their order and digits.
    /// </summary>
    /// <param name="step">The step.</param>
    /// <param name="numbers">The numbers by name.</param>
    /// <param name="before">The prefixes of the fields before which the numbers are inserted.</param>
    public void Amend(long step, IReadOnlyList<KeyValuePair<string, double>> numbers, IReadOnlyList<string> before) =>
        Rewrite(line => IsWhole(line) && StepOf(line) == step ? Amended(line, numbers, before) : line);

    // Null drops a line. Nothing is written when nothing changes. Returns the number of whole lines that remain.
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

    // Unbuffered: bytes that a full disk left in a buffer would fail again when the file is closed.
    private static FileStream Open(string path) => new(path, FileMode.Append, FileAccess.Write, FileShare.Read, bufferSize: 0);

    // A full disk may have taken a part of a line. If removing it fails, a resumed run drops the partial line.
    private void RemovePartialLine()
    {
        try
        {
            _file.SetLength(_length);
        }
        catch (IOException)
        {
            // Report the failed write, not this second failure.
        }
    }

    // Lines keep their line ends: a line without one was cut short when the process died.
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

    // Null if the line has no step. Such a line is not ours and stays unchanged.
    private static double? StepOf(string line)
    {
        try
        {
            using JsonDocument json = JsonDocument.Parse(line);
            // Reads every name. A line of ours has only names that can be read.
            return json.RootElement.ValueKind == JsonValueKind.Object
                && json.RootElement.EnumerateObject().LastOrDefault(field => field.Name == "step")
                    is { Value.ValueKind: JsonValueKind.Number } step
                && step.Value.TryGetDouble(out double number) ? number : null;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: a name has half a surrogate pair, so the line is not ours.
            return null;
        }
    }

    private static string Amended(string line, IReadOnlyList<KeyValuePair<string, double>> numbers, IReadOnlyList<string> before)
    {
        using JsonDocument json = JsonDocument.Parse(line);
        JsonProperty[] others = [.. json.RootElement.EnumerateObject().Where(field => numbers.All(number => number.Key != field.Name))];
        int index = Array.FindIndex(others, field => before.Any(name => field.Name.StartsWith(name, StringComparison.Ordinal)));
        index = index < 0 ? others.Length : index;
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            Array.ForEach(others[..index], field => field.WriteTo(writer));
            foreach ((string name, double value) in numbers)
            {
                writer.WriteNumber(name, value);
            }

            Array.ForEach(others[index..], field => field.WriteTo(writer));
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.ToArray()) + '\n';
    }
}
