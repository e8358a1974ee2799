using System.Text.Json;
using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>
/// Parses the JSON of a header into entries and collects one problem per invalid tensor. It is stricter than JSON: repeated keys, unknown
/// fields and deep nesting are refused, because two readers could understand such a file differently.
/// </summary>
internal ref struct SafetensorsHeaderParser
{
    public const string MetadataKey = "__metadata__";

    /// <summary>The largest number of axes that torch's kernels accept.</summary>
    public const int MaximumRank = 64;

    // A valid header is nested 3 deep: the object, the tensor's object, its arrays.
    private static readonly JsonReaderOptions Strict = new() { MaxDepth = 8 };

    private readonly SafetensorsProblems _problems;
    private readonly HashSet<string> _names = new(StringComparer.Ordinal);
    private Utf8JsonReader _json;

    /// <summary>Creates a parser.</summary>
    /// <param name="json">The header as valid UTF-8.</param>
    /// <param name="problems">The collection that receives the problems of single tensors.</param>
    public SafetensorsHeaderParser(ReadOnlySpan<byte> json, SafetensorsProblems problems)
    {
        _json = new Utf8JsonReader(json, Strict);
        _problems = problems;
    }

    /// <summary>The valid entries, in the order of the header.</summary>
    public List<SafetensorsEntry> Entries { get; } = [];

    public Dictionary<string, string> Metadata { get; } = new(StringComparer.Ordinal);

    /// <summary>Parses the header.</summary>
    /// <exception cref="JsonException">The text is not a JSON object, or nested too deep.</exception>
    public void Parse()
    {
        _json.Read();
        if (_json.TokenType != JsonTokenType.StartObject)
        {
            throw new JsonException("the header is not an object");
        }

        while (_json.Read() && _json.TokenType == JsonTokenType.PropertyName)
        {
            string name = Text();
            _json.Read();
            if (!_names.Add(name))
            {
                _problems.Add($"the name {SafetensorsProblems.Quote(name)} appears twice");
                _json.Skip();
            }
            else if (name == MetadataKey)
            {
                ParseMetadata();
            }
            else
            {
                ParseTensor(name);
            }
        }

        // Only white space may follow the object. Anything else makes this read throw.
        _json.Read();
    }

    private void ParseMetadata()
    {
        if (_json.TokenType != JsonTokenType.StartObject)
        {
            _problems.Add($"{MetadataKey} is not an object of strings");
            _json.Skip();
            return;
        }

        while (_json.Read() && _json.TokenType == JsonTokenType.PropertyName)
        {
            string key = Text();
            _json.Read();
            if (_json.TokenType != JsonTokenType.String)
            {
                _problems.Add($"{MetadataKey} {SafetensorsProblems.Quote(key)} is not a string");
                _json.Skip();
            }
            else if (!Metadata.TryAdd(key, Text()))
            {
                _problems.Add($"{MetadataKey} {SafetensorsProblems.Quote(key)} appears twice");
            }
        }
    }

    private void ParseTensor(string name)
    {
        string? dtype = null;
        List<long>? shape = null;
        List<long>? offsets = null;
        string? problem = null;
        if (_json.TokenType != JsonTokenType.StartObject)
        {
            problem = "is not an object with dtype, shape and data_offsets";
            _json.Skip();
        }
        else
        {
            while (_json.Read() && _json.TokenType == JsonTokenType.PropertyName)
            {
                string field = Text();
                _json.Read();
                switch (field)
                {
                    case "dtype" when dtype is null && _json.TokenType == JsonTokenType.String:
                        dtype = Text();
                        break;
                    case "shape" when shape is null && _json.TokenType == JsonTokenType.StartArray:
                        shape = Sizes(field, MaximumRank, ref problem);
                        break;
                    case "data_offsets" when offsets is null && _json.TokenType == JsonTokenType.StartArray:
                        offsets = Sizes(field, 2, ref problem);
                        break;
                    default:
                        problem ??= field is "dtype" or "shape" or "data_offsets"
                            ? $"has a {field} of the wrong kind, or twice"
                            : $"has the unknown field {SafetensorsProblems.Quote(field)}";
                        _json.Skip();
                        break;
                }
            }
        }

        problem ??= Entry(name, dtype, shape, offsets);
        if (problem is not null)
        {
            _problems.Add($"tensor {SafetensorsProblems.Quote(name)} {problem}");
        }
    }

    /// <summary>Adds the entry, or returns its problem.</summary>
    private readonly string? Entry(string name, string? dtype, List<long>? shape, List<long>? offsets)
    {
        if (dtype is null || shape is null || offsets is null)
        {
            return $"has no {(dtype is null ? "dtype" : shape is null ? "shape" : "data_offsets")}";
        }

        if (!SafetensorsDType.TryParse(dtype, out ScalarType type))
        {
            return $"has dtype {SafetensorsProblems.Quote(dtype)}, which is not supported; supported are {SafetensorsDType.Supported}";
        }

        if (offsets.Count != 2)
        {
            return $"has {offsets.Count} data_offsets; they must be two: where its bytes begin and end";
        }

        if (offsets[0] > offsets[1])
        {
            return $"begins at byte {offsets[0]} of the data but ends before, at {offsets[1]}";
        }

        long stored = offsets[1] - offsets[0];
        if (ByteCount(shape, type) is not { } needed)
        {
            return $"has shape {SafetensorsProblems.Shape(shape)}, more than 2^63 bytes";
        }

        if (needed != stored)
        {
            return $"has dtype {dtype} and shape {SafetensorsProblems.Shape(shape)}, which is {needed} bytes, "
                + $"but its data_offsets hold {stored}";
        }

        Entries.Add(new SafetensorsEntry(name, type, shape.AsReadOnly(), offsets[0], stored));
        return null;
    }

    /// <summary>
    /// Computes the bytes of a shape; null if they overflow. Zeros do not end that test, since torch multiplies the other sizes into
    /// strides.
    /// </summary>
    private static long? ByteCount(List<long> shape, ScalarType type)
    {
        long product = SafetensorsDType.SizeOf(type);
        foreach (long size in shape)
        {
            if (size != 0 && product > long.MaxValue / size)
            {
                return null;
            }

            product *= Math.Max(size, 1);
        }

        return shape.Contains(0) ? 0 : product;
    }

    /// <summary>Reads an array of integers ≥ 0 to its end and keeps at most <paramref name="most"/> of them.</summary>
    private List<long> Sizes(string field, int most, ref string? problem)
    {
        List<long> sizes = [];
        while (_json.Read() && _json.TokenType != JsonTokenType.EndArray)
        {
            if (_json.TokenType != JsonTokenType.Number || !_json.TryGetInt64(out long size) || size < 0)
            {
                problem ??= $"has a {field} that is not a list of integers from 0 to 2^63-1";
                _json.Skip();
            }
            else if (sizes.Count == most)
            {
                problem ??= $"has a {field} of more than {most} numbers";
            }
            else
            {
                sizes.Add(size);
            }
        }

        return sizes;
    }

    private readonly string Text()
    {
        try
        {
            return _json.GetString()!;
        }
        catch (InvalidOperationException exception)
        {
            // An escape such as "\ud800" is valid JSON, but half a surrogate pair.
            throw new JsonException("a string in the header is not valid Unicode", exception);
        }
    }
}
