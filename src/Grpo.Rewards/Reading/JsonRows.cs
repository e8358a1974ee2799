using System.Globalization;
using System.Text.Json;
using Grpo.IO;

namespace Grpo.Rewards.Reading;

/// <summary>
/// Reads one JSON object per line. It limits the length of a line, so that a file without line ends cannot fill the memory.
/// </summary>
internal static class JsonRows
{
    private const int MaxLineBytes = 1 << 20;
    private const int MaxRows = 1_000_000;

    public static IEnumerable<Gsm8kRow> Read(string path)
    {
        int number = 0, rows = 0;
        foreach (ReadOnlyMemory<byte> line in Lines(path))
        {
            number++;
            if (line.Span.Trim(" \t\r"u8).IsEmpty)
            {
                continue;
            }

            if (++rows > MaxRows)
            {
                throw new InvalidDataException(At(path, number) + $": more than {MaxRows} rows. Split the file.");
            }

            yield return Parse(line, number, At(path, number));
        }
    }

    private static Gsm8kRow Parse(ReadOnlyMemory<byte> line, int number, string place)
    {
        try
        {
            var reader = new Utf8JsonReader(NonFiniteJson.Replace(line.Span), new JsonReaderOptions { MaxDepth = MaxLineBytes });
            return ReadRow(ref reader, number, place);
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"{place}: the line is not valid JSON: {TerminalText.EscapeLine(error.Message)}", error);
        }
        catch (InvalidOperationException error)
        {
            // System.Text.Json throws this for a string with broken UTF-8 or a lone surrogate.
            throw new InvalidDataException($"{place}: a string is not valid Unicode: {TerminalText.EscapeLine(error.Message)}", error);
        }
    }

    // Only the two fields are read. The others need only be valid JSON.
    private static Gsm8kRow ReadRow(ref Utf8JsonReader reader, int number, string place)
    {
        reader.Read();
        if (reader.TokenType != JsonTokenType.StartObject)
        {
            throw new InvalidDataException($"{place}: the line is a JSON {Kind(reader.TokenType)} but must be an object.");
        }

        string? question = null, answer = null;
        bool hasQuestion = false, hasAnswer = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            if (IsName(ref reader, "question"u8))
            {
                question = Once(ref hasQuestion, "question", place) ? Text(ref reader) : null;
            }
            else if (IsName(ref reader, "answer"u8))
            {
                answer = Once(ref hasAnswer, "answer", place) ? Text(ref reader) : null;
            }
            else
            {
                reader.Skip();
            }
        }

        reader.Read(); // nothing may follow the object
        return new Gsm8kRow(number, place, question, answer);
    }

    // The library throws for a name with half a surrogate pair, but neither field has such a name.
    private static bool IsName(ref Utf8JsonReader reader, ReadOnlySpan<byte> name) =>
        reader.ValueSpan.IndexOf(@"\ud"u8) < 0 && reader.ValueSpan.IndexOf(@"\uD"u8) < 0 && reader.ValueTextEquals(name);

    private static bool Once(ref bool seen, string name, string place) =>
        seen ? throw new InvalidDataException($"{place}: '{name}' appears twice in the object.") : seen = true;

    private static string? Text(ref Utf8JsonReader reader)
    {
        reader.Read();
        if (reader.TokenType == JsonTokenType.String)
        {
            return reader.GetString();
        }

        reader.Skip();
        return null;
    }

    private static string Kind(JsonTokenType token) => token switch
    {
        JsonTokenType.StartArray => "Array",
        JsonTokenType.True or JsonTokenType.False => "Boolean",
        _ => token.ToString(),
    };

    /// <summary>Reads the lines without their ends. Each is valid until the next one is read.</summary>
    private static IEnumerable<ReadOnlyMemory<byte>> Lines(string path)
    {
        using var file = new FileStream(
            path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 1 << 16, FileOptions.SequentialScan);
        byte[] line = new byte[4096];
        int length = 0, number = 1, next;
        do
        {
            next = file.ReadByte();
            if (next is '\n' or -1)
            {
                // A byte order mark is not part of the first line.
                int start = number == 1 && line.AsSpan(0, length).StartsWith("\uFEFF"u8) ? 3 : 0;
                yield return line.AsMemory(start, length - start);
                length = 0;
                number++;
                continue;
            }

            if (length == MaxLineBytes)
            {
                throw new InvalidDataException(At(path, number) + $": the line is longer than {MaxLineBytes} bytes. Is this a jsonl file?");
            }

            if (length == line.Length)
            {
                Array.Resize(ref line, length * 2);
            }

            line[length++] = (byte)next;
        }
        while (next >= 0);
    }

    private static string At(string path, int line) => string.Create(CultureInfo.InvariantCulture, $"{path}:{line}");
}
