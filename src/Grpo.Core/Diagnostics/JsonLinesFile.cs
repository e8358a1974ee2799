using System.Text;
using System.Text.Json;

namespace Grpo.Diagnostics;

/// <summary>A file of one JSON object a line, to which whole lines are appended and flushed to the disk.</summary>
internal sealed class JsonLinesFile : IDisposable
{
    private static readonly byte[] NewLine = [(byte)'\n'];

    private readonly string _path;
    private FileStream _file;

    public JsonLinesFile(string path) => (_path, _file) = (path, Open(path));

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
        _file.Write(buffer.GetBuffer(), 0, (int)buffer.Length);
    }

    /// <summary>Everything appended is on the disk afterwards.</summary>
    public void Flush() => _file.Flush(flushToDisk: true);

    /// <summary>
    /// Removes the lines of later steps, and a last line that was cut short. Written beside, flushed and renamed: the file is either as it was
    /// or without them.
    /// </summary>
    public void DropAfter(long step)
    {
        _file.Dispose();
        try
        {
            if (Lines().Any(line => !IsKept(line, step)))
            {
                string temporary = _path + ".tmp";
                using (var kept = new FileStream(temporary, FileMode.Create, FileAccess.Write))
                {
                    foreach (string line in Lines().Where(line => IsKept(line, step)))
                    {
                        kept.Write(Encoding.UTF8.GetBytes(line));
                    }

                    kept.Flush(flushToDisk: true);
                }

                File.Move(temporary, _path, overwrite: true);
            }
        }
        finally
        {
            _file = Open(_path);
        }
    }

    public void Dispose() => _file.Dispose();

    private static FileStream Open(string path) => new(path, FileMode.Append, FileAccess.Write, FileShare.Read, bufferSize: 1 << 16);

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

    // What is whole and has no step is not ours to remove.
    private static bool IsKept(string line, long step)
    {
        if (!line.EndsWith('\n'))
        {
            return false;
        }

        try
        {
            using JsonDocument json = JsonDocument.Parse(line);
            return json.RootElement.ValueKind != JsonValueKind.Object
                || !json.RootElement.TryGetProperty("step", out JsonElement value)
                || value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out double number) || number <= step;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // The latter: a name with half a surrogate pair in it, which is not ours either.
            return true;
        }
    }
}
