using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Grpo.IO;

namespace Grpo.Models.Qwen.Config;

/// <summary>Reads and writes <c>config.json</c>.</summary>
internal static class DecoderConfigFile
{
    internal const string FileName = "config.json";

    // Real files have about a kilobyte. A larger file is not a model configuration.
    private const long MaxBytes = 1 << 20;

    private static readonly JsonWriterOptions Indented = new() { Indented = true, NewLine = "\n" };

    internal static DecoderConfig Load(string directory)
    {
        ArgumentException.ThrowIfNullOrEmpty(directory);
        if (!Directory.Exists(directory))
        {
            throw new DirectoryNotFoundException(
                $"There is no folder '{directory}'. Give the folder of a Hugging Face checkpoint: config.json and model.safetensors.");
        }

        string path = Path.Combine(directory, FileName);
        var file = new FileInfo(path);
        if (!file.Exists)
        {
            throw new FileNotFoundException($"No {FileName} in '{directory}': it is not the folder of a Hugging Face checkpoint.", path);
        }

        if (file.Length > MaxBytes)
        {
            throw new InvalidDataException($"{path} has {file.Length} bytes; a model configuration has at most {MaxBytes}.");
        }

        return Parse(File.ReadAllText(path), path);
    }

    /// <summary>Reads the text of a <c>config.json</c>.</summary>
    /// <param name="json">The text.</param>
    /// <param name="source">The name of the text in error messages.</param>
    /// <param name="head">The end of the architecture's name, which says what is on top of the decoder.</param>
    internal static DecoderConfig Parse(string json, string source, string head = ModelFamily.LanguageModel)
    {
        ArgumentNullException.ThrowIfNull(json);
        JsonDocument document;
        try
        {
            document = JsonDocument.Parse(json);
        }
        catch (Exception exception) when (exception is JsonException or ArgumentException)
        {
            // ArgumentException: half a surrogate pair between the quotes.
            throw new InvalidDataException($"{source} is not valid JSON: {TerminalText.EscapeLine(exception.Message)}", exception);
        }

        using (document)
        {
            if (document.RootElement.ValueKind != JsonValueKind.Object)
            {
                throw new InvalidDataException($"{source} must hold a JSON object but holds {document.RootElement.ValueKind}.");
            }

            JsonFile.RequireText(document.RootElement, source);
            RequireDistinctNames(json, source);
            var fields = new ConfigFields(document.RootElement);
            DecoderConfig config = Read(fields, RequireFamily(fields, source, head));
            RefuseUnsupported(fields);
            ConfigRules.Check(fields, config);
            fields.Problems.AddRange(fields.Problems.Count == 0 ? config.Problems() : []);
            return fields.Problems.Count == 0
                ? config with { OtherFields = fields.Unread() }
                : throw new InvalidDataException(
                    $"{source} does not describe a model that can be built:\n- "
                    + $"{string.Join("\n- ", fields.Problems.Select(TerminalText.EscapeLine))}");
        }
    }

    internal static string Write(DecoderConfig config)
    {
        ModelFamily family = config.Family ?? throw new InvalidOperationException(
            $"A configuration of model_type \"{config.ModelType}\" cannot be written. Supported: "
            + $"{ModelFamily.Supported(ModelFamily.LanguageModel)}.");
        var fields = new SortedDictionary<string, Action<Utf8JsonWriter>>(StringComparer.Ordinal)
        {
            ["architectures"] = json => json.WriteRawValue($"[\"{family.Name}{ModelFamily.LanguageModel}\"]"),
            ["model_type"] = json => json.WriteStringValue(family.ModelType),
            ["hidden_act"] = json => json.WriteStringValue("silu"),
            ["attention_dropout"] = json => json.WriteRawValue("0.0"),
            ["vocab_size"] = json => json.WriteNumberValue(config.VocabularySize),
            ["hidden_size"] = json => json.WriteNumberValue(config.HiddenSize),
            ["intermediate_size"] = json => json.WriteNumberValue(config.IntermediateSize),
            ["num_hidden_layers"] = json => json.WriteNumberValue(config.LayerCount),
            ["num_attention_heads"] = json => json.WriteNumberValue(config.AttentionHeadCount),
            ["num_key_value_heads"] = json => json.WriteNumberValue(config.KeyValueHeadCount),
            ["max_position_embeddings"] = json => json.WriteNumberValue(config.MaxPositions),
            ["rms_norm_eps"] = json => WriteReal(json, config.RmsNormEpsilon),
            ["rope_theta"] = json => WriteReal(json, config.RopeTheta),
            ["tie_word_embeddings"] = json => json.WriteBooleanValue(config.TieWordEmbeddings),
            ["initializer_range"] = json => WriteReal(json, config.InitializerRange),
            ["torch_dtype"] = json => json.WriteStringValue(config.StoredType),
        };
        if (family.HasSlidingWindow)
        {
            fields["use_sliding_window"] = json => json.WriteBooleanValue(false);
        }

        if (!family.AlwaysHasBiases)
        {
            fields["attention_bias"] = json => json.WriteBooleanValue(config.QueryKeyValueBias);
        }

        if (family.HasMlpBiasField)
        {
            fields["mlp_bias"] = json => json.WriteBooleanValue(config.MlpBias);
        }

        if (config.RopeScaling is { } scaling)
        {
            fields["rope_scaling"] = json => WriteScaling(json, scaling);
        }

        if (config.HasOwnHeadWidth || family.HeadWidth is not null)
        {
            fields["head_dim"] = json => json.WriteNumberValue(config.HeadWidth);
        }

        if (config.EosTokenIds is [int only])
        {
            fields["eos_token_id"] = json => json.WriteNumberValue(only);
        }
        else if (config.EosTokenIds.Count > 1)
        {
            fields["eos_token_id"] = json => WriteIds(json, config.EosTokenIds);
        }

        foreach ((string name, JsonElement value) in config.OtherFields)
        {
            fields.TryAdd(name, value.WriteTo);
        }

        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, Indented))
        {
            json.WriteStartObject();
            foreach ((string name, Action<Utf8JsonWriter> write) in fields)
            {
                json.WritePropertyName(name);
                write(json);
            }

            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan) + "\n";
    }

    private static DecoderConfig Read(ConfigFields fields, ModelFamily family)
    {
        // Newer files use another name; either may occur.
        string? newName = fields.Word("dtype");
        string? oldName = fields.Word("torch_dtype");
        if (newName is not null && oldName is not null && newName != oldName)
        {
            fields.Problems.Add($"dtype is \"{newName}\" but torch_dtype is \"{oldName}\": which of them the weights have cannot be told.");
        }

        int heads = fields.Integer("num_attention_heads") ?? 0;
        (double theta, RopeScaling? scaling) = RopeFields.Read(fields, 10_000);
        bool attentionBias = family.AlwaysHasBiases || fields.Flag("attention_bias", false);
        var config = new DecoderConfig
        {
            ModelType = family.ModelType,
            QueryKeyValueBias = attentionBias,
            OutputBias = attentionBias && !family.AlwaysHasBiases,
            MlpBias = family.HasMlpBiasField && fields.Flag("mlp_bias", false),
            VocabularySize = fields.Integer("vocab_size") ?? 0,
            HiddenSize = fields.Integer("hidden_size") ?? 0,
            IntermediateSize = fields.Integer("intermediate_size") ?? 0,
            LayerCount = fields.Integer("num_hidden_layers") ?? 0,
            AttentionHeadCount = heads,
            KeyValueHeadCount = fields.Integer("num_key_value_heads", family.MayOmitKeyValueHeads ? heads : null) ?? 0,
            MaxPositions = fields.Integer("max_position_embeddings", family.MaxPositions) ?? 0,
            RmsNormEpsilon = fields.Real("rms_norm_eps", 1e-6),
            RopeTheta = theta,
            RopeScaling = scaling,
            TieWordEmbeddings = fields.Flag("tie_word_embeddings", false),
            InitializerRange = fields.Real("initializer_range", 0.02),
            EosTokenIds = fields.Ids("eos_token_id"),
            StoredType = oldName ?? newName ?? "float32",
        };
        return fields.Has("head_dim") || family.HeadWidth is not null
            ? config with { HeadWidth = fields.Integer("head_dim", family.HeadWidth) ?? 0 }
            : config;
    }

    private static ModelFamily RequireFamily(ConfigFields fields, string source, string head)
    {
        string? type = fields.Word("model_type");
        IReadOnlyList<string> architectures = fields.Words("architectures");
        ModelFamily? family = type is not null
            ? ModelFamily.Find(type)
            : ModelFamily.All.FirstOrDefault(known => architectures.Contains(known.Name + head));
        if (family is not null && architectures.All(name => name == family.Name + head))
        {
            return family;
        }

        string found = $"model_type \"{type ?? "(none)"}\", architectures [{string.Join(", ", architectures)}]";
        throw new InvalidDataException(
            $"{source}: unknown architecture: {TerminalText.EscapeLine(found)}. Supported: {ModelFamily.Supported(head)}.");
    }

    private static void RefuseUnsupported(ConfigFields fields)
    {
        if (fields.Word("hidden_act") is { } activation && activation != "silu")
        {
            fields.Problems.Add($"hidden_act is \"{activation}\" but only \"silu\" is supported.");
        }

        IReadOnlyList<string> layerTypes = fields.Words("layer_types", fields.Peek("layer_types"));
        if (fields.Flag("use_sliding_window", false) && layerTypes.Count == 0)
        {
            fields.Problems.Add(
                "use_sliding_window is true, but attention is over the whole sequence: results would differ from the original model's.");
        }

        if (fields.Real("attention_dropout", 0) is double dropout && dropout != 0)
        {
            fields.Problems.Add($"attention_dropout is {dropout.ToString(CultureInfo.InvariantCulture)} but only 0 is supported.");
        }

        if (layerTypes.FirstOrDefault(type => type != "full_attention") is { } layerType)
        {
            fields.Problems.Add($"layer_types contains \"{layerType}\" but only \"full_attention\" is supported.");
        }

        if (layerTypes.Count > 0 && fields.Integer("num_hidden_layers") is { } layers && layers != layerTypes.Count)
        {
            fields.Problems.Add($"layer_types names {layerTypes.Count} layers but num_hidden_layers is {layers}.");
        }
    }

    // With a repeated name, programs differ in which value they take. Checked once all names are known to be text.
    private static void RequireDistinctNames(string json, string source)
    {
        try
        {
            JsonDocument.Parse(json, new JsonDocumentOptions { AllowDuplicateProperties = false }).Dispose();
        }
        catch (JsonException exception)
        {
            throw new InvalidDataException($"{source} names a field twice: {TerminalText.EscapeLine(exception.Message)}", exception);
        }
    }

    private static void WriteScaling(Utf8JsonWriter json, RopeScaling scaling)
    {
        json.WriteStartObject();
        foreach ((string name, object value) in RopeFields.Written(scaling))
        {
            json.WritePropertyName(name);
            switch (value)
            {
                case double real:
                    WriteReal(json, real);
                    break;
                case int whole:
                    json.WriteNumberValue(whole);
                    break;
                case bool flag:
                    json.WriteBooleanValue(flag);
                    break;
                default:
                    json.WriteStringValue((string)value);
                    break;
            }
        }

        json.WriteEndObject();
    }

    private static void WriteIds(Utf8JsonWriter json, IReadOnlyList<int> ids)
    {
        json.WriteStartArray();
        foreach (int id in ids)
        {
            json.WriteNumberValue(id);
        }

        json.WriteEndArray();
    }

    private static void WriteReal(Utf8JsonWriter json, double value)
    {
        // transformers reads 1000000 as an integer. The decimal point keeps a real number real.
        string text = value.ToString("R", CultureInfo.InvariantCulture);
        json.WriteRawValue(text.AsSpan().ContainsAny('.', 'E') ? text : text + ".0");
    }
}
