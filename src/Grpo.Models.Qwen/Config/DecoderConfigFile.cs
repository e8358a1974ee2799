using System.Globalization;
using System.Text.Json;
using Grpo.IO;

namespace Grpo.Models.Qwen.Config;

/// <summary>Reads <c>config.json</c>. <see cref="DecoderConfigWriter"/> writes it.</summary>
internal static class DecoderConfigFile
{
    internal const string FileName = "config.json";

    // Real files have about a kilobyte. A larger file is not a model configuration.
    private const long MaxBytes = 1 << 20;

    /// <summary>Reads the <c>config.json</c> of a folder.</summary>
    /// <param name="directory">The folder of the checkpoint.</param>
    /// <param name="head">The end of the architecture's name, which says what is on top of the decoder.</param>
    internal static DecoderConfig Load(string directory, string head = ModelFamily.LanguageModel)
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

        return Parse(File.ReadAllText(path), path, head);
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
}
