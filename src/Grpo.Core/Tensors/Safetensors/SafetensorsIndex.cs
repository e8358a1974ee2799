using System.Text.Json;
using System.Text.Unicode;
using Grpo.IO;

namespace Grpo.Tensors;

/// <summary>Reads from <c>model.safetensors.index.json</c> which file holds which tensor.</summary>
internal static class SafetensorsIndex
{
    private const int LongestFileName = 255;

    private static readonly JsonReaderOptions Strict = new() { MaxDepth = 8 };

    /// <summary>Reads an index and returns the file names by tensor name.</summary>
    /// <exception cref="InvalidDataException">The index violates the format. The message lists all problems.</exception>
    public static Dictionary<string, string> Read(string path)
    {
        string subject = $"'{path}' is not a valid safetensors index";
        using FileStream file = File.OpenRead(path);
        if (file.Length > SafetensorsHeader.MaximumBytes)
        {
            throw new InvalidDataException($"{subject}: it has {file.Length} bytes; the limit is {SafetensorsHeader.MaximumBytes}.");
        }

        var json = new byte[file.Length];
        file.ReadExactly(json);
        if (!Utf8.IsValid(json))
        {
            throw new InvalidDataException($"{subject}: it is not UTF-8.");
        }

        var problems = new SafetensorsProblems(subject);
        try
        {
            Dictionary<string, string>? files = Parse(json, problems);
            if (files is null && !problems.Any)
            {
                problems.Add("it has no weight_map, an object of tensor names and file names");
            }

            problems.ThrowIfAny();
            return files!;
        }
        catch (Exception exception) when (exception is JsonException or InvalidOperationException)
        {
            // InvalidOperationException: a string has half a surrogate pair.
            throw new InvalidDataException(
                $"{subject}: it is not the expected JSON: {TerminalText.EscapeLine(exception.Message)}", exception);
        }
    }

    private static Dictionary<string, string>? Parse(ReadOnlySpan<byte> utf8, SafetensorsProblems problems)
    {
        Dictionary<string, string>? files = null;
        var json = new Utf8JsonReader(utf8, Strict);
        json.Read();
        if (json.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException("it is not an object");
        }

        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            bool isMap = json.ValueTextEquals("weight_map"u8);
            json.Read();
            if (!isMap)
            {
                json.Skip();                                             // "metadata" holds only total_size
            }
            else if (files is not null || json.TokenType != JsonTokenType.StartObject)
            {
                problems.Add("weight_map is not an object, or appears twice");
                json.Skip();
            }
            else
            {
                files = ParseMap(ref json, problems);
            }
        }

        json.Read();
        return files;
    }

    private static Dictionary<string, string> ParseMap(ref Utf8JsonReader json, SafetensorsProblems problems)
    {
        var files = new Dictionary<string, string>(StringComparer.Ordinal);
        while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
        {
            string tensor = json.GetString()!;
            json.Read();
            string? file = json.TokenType == JsonTokenType.String ? json.GetString() : null;
            if (file is null)
            {
                problems.Add($"tensor {SafetensorsProblems.Quote(tensor)} has no file name");
                json.Skip();
            }
            else if (!IsPlainFileName(file))
            {
                problems.Add(
                    $"tensor {SafetensorsProblems.Quote(tensor)} is in {SafetensorsProblems.Quote(file)}, which is not a plain file name: "
                    + "the files must lie in the folder of the index");
            }
            else if (!files.TryAdd(tensor, file))
            {
                problems.Add($"tensor {SafetensorsProblems.Quote(tensor)} appears twice");
            }
        }

        return files;
    }

    /// <summary>True if a name stays in the folder on any system: it has no separator, drive, stream or control character.</summary>
    private static bool IsPlainFileName(string name) =>
        name.Length is > 0 and <= LongestFileName
        && name.Trim('.').Length > 0
        && !name.AsSpan().ContainsAny('/', '\\', ':')
        && !name.Any(char.IsControl);
}
