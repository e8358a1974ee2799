using System.Buffers;
using System.Text;
using System.Text.Json;
using Grpo.IO;
using Grpo.Models.Qwen.Config;

namespace Grpo.Models.Qwen.Lora;

/// <summary>Reads and writes PEFT's <c>adapter_config.json</c>.</summary>
internal static class LoraConfigFile
{
    internal const string FileName = "adapter_config.json";

    // Real files have about a kilobyte. A larger file is not the configuration of an adapter.
    private const long MaxBytes = 1 << 20;

    private static readonly JsonWriterOptions Indented = new() { Indented = true, NewLine = "\n" };

    // Fields that change what the adapter computes.
    private static readonly (string Field, string Reason)[] Unsupported =
    [
        ("use_dora", "DoRA also rescales the sum of weight and update"),
        ("use_qalora", "QALoRA pools the inputs"),
        ("lora_bias", "the adapters would have biases"),
        ("modules_to_save", "whole modules would be replaced"),
        ("rank_pattern", "the rank would differ between layers"),
        ("alpha_pattern", "the scale would differ between layers"),
        ("layers_to_transform", "only some layers would be adapted"),
        ("layer_replication", "layers would be repeated"),
        ("exclude_modules", "some layers would be left out"),
        ("target_parameters", "parameters would be adapted that are no projections"),
        ("trainable_token_indices", "rows of the embedding would be replaced"),
        ("alora_invocation_tokens", "the adapter would begin in the middle of a text"),
        ("arrow_config", "several adapters would be mixed"),
        ("megatron_config", "the layers would be split over devices"),
        ("loftq_config", "the base weights would be others than the checkpoint's"),
        ("fan_in_fan_out", "the weights would be transposed"),
        ("use_bdlora", "A or B would be block-diagonal"),
        ("layers_pattern", "only some layers would be adapted"),
        ("corda_config", "the base weights would be others than the checkpoint's"),
    ];

    // Fields that mean nothing for a trained adapter. Any other field that is set but not read is refused: a later version of
    // PEFT may give it a meaning.
    private static readonly string[] Harmless =
    [
        "auto_mapping", "inference_mode", "peft_version", "megatron_core", "qalora_group_size", "eva_config", "lora_ga_config",
        "runtime_config", "ensure_weight_tying", "unsloth_fixed", "unsloth_version",
    ];

    internal static (LoraOptions Options, LoraBaseModel? Base) Load(string directory)
    {
        string path = Path.Combine(directory, FileName);
        var file = new FileInfo(path);
        if (!file.Exists)
        {
            throw new FileNotFoundException($"No {FileName} in '{directory}': it is not the folder of an adapter.", path);
        }

        if (file.Length > MaxBytes)
        {
            throw new InvalidDataException($"{path} has {file.Length} bytes; the configuration of an adapter has at most {MaxBytes}.");
        }

        using var json = new JsonFile(path, File.ReadAllBytes(path));
        var fields = new ConfigFields(json.Root);
        (LoraOptions options, LoraBaseModel? baseModel) = Read(fields);
        RefuseUnsupported(fields);
        fields.Problems.AddRange(fields.Problems.Count == 0 ? options.Validate() : []);
        return fields.Problems.Count == 0
            ? (options, baseModel is null ? null : LoraBaseLocation.Find(directory, baseModel))
            : throw new InvalidDataException(
                $"{path} does not describe an adapter that can be loaded:\n- "
                + $"{string.Join("\n- ", fields.Problems.Select(TerminalText.EscapeLine))}");
    }

    /// <summary>Returns the text of the file with every field that PEFT needs to load it, in alphabetical order.</summary>
    internal static string Write(LoraOptions options, LoraBaseModel? baseModel)
    {
        LoraBaseModel? published = baseModel is null ? null : LoraBaseLocation.Publish(baseModel);
        var buffer = new ArrayBufferWriter<byte>();
        using (var json = new Utf8JsonWriter(buffer, Indented))
        {
            json.WriteStartObject();
            json.WriteString("base_model_name_or_path", published?.Name);
            json.WriteString("bias", "none");
            json.WriteBoolean("fan_in_fan_out", false);
            json.WriteBoolean("inference_mode", true);
            json.WriteBoolean("init_lora_weights", true);
            json.WriteNumber("lora_alpha", options.Alpha);
            json.WriteNumber("lora_dropout", options.Dropout);
            json.WriteNull("modules_to_save");
            json.WriteString("peft_type", "LORA");
            json.WriteNumber("r", options.Rank);
            json.WriteString("revision", published?.Revision);
            json.WriteStartArray("target_modules");
            foreach (string name in options.TargetModules)
            {
                json.WriteStringValue(name);
            }

            json.WriteEndArray();
            json.WriteString("task_type", "CAUSAL_LM");
            json.WriteBoolean("use_dora", false);
            json.WriteBoolean("use_rslora", options.UseRankStabilizedScale);
            json.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.WrittenSpan) + "\n";
    }

    private static (LoraOptions Options, LoraBaseModel? Base) Read(ConfigFields fields)
    {
        if (fields.Word("peft_type") is { } type && type != "LORA")
        {
            fields.Problems.Add($"peft_type is \"{type}\" but only \"LORA\" is supported.");
        }

        if (!fields.Has("lora_alpha"))
        {
            fields.Problems.Add("lora_alpha is missing.");
        }

        var options = new LoraOptions
        {
            Rank = fields.Integer("r") ?? 0,
            Alpha = fields.Real("lora_alpha", 0),
            Dropout = fields.Real("lora_dropout", 0),
            UseRankStabilizedScale = fields.Flag("use_rslora", false),
            TargetModules = Targets(fields),
        };
        LoraBaseModel? baseModel = fields.Word("base_model_name_or_path") is { Length: > 0 } name
            ? new LoraBaseModel(name, fields.Word("revision"))
            : null;
        return (options, baseModel);
    }

    // A string is a regular expression over module names, with one exception: "all-linear" means every linear layer but the output layer.
    private static IReadOnlyList<string> Targets(ConfigFields fields)
    {
        if (fields.Raw("target_modules") is { ValueKind: JsonValueKind.String } text)
        {
            if (text.ValueEquals("all-linear"))
            {
                return LoraOptions.AllTargetModules;
            }

            fields.Problems.Add("target_modules is a pattern, which is not supported. List the modules by name.");
            return [];
        }

        if (!fields.Has("target_modules"))
        {
            fields.Problems.Add("target_modules is missing.");
        }

        return fields.Words("target_modules");
    }

    private static void RefuseUnsupported(ConfigFields fields)
    {
        foreach ((string field, string reason) in Unsupported)
        {
            if (fields.Raw(field) is { } given && IsSet(given))
            {
                fields.Problems.Add($"{field} is set but not supported: {reason}.");
            }
        }

        if (fields.Word("task_type") is { } task && task != "CAUSAL_LM")
        {
            fields.Problems.Add(
                $"task_type is \"{task}\" but only \"CAUSAL_LM\" is supported: the adapter belongs to a model with another head.");
        }

        if (fields.Word("bias") is { } bias && bias != "none")
        {
            fields.Problems.Add($"bias is \"{bias}\" but only \"none\" is supported: the base's biases would be trained too.");
        }

        // gaussian, eva and orthogonal only decide how A began. pissa, olora, corda and loftq also change the base.
        JsonElement? initial = fields.Raw("init_lora_weights");
        if (initial is { ValueKind: not (JsonValueKind.String or JsonValueKind.True or JsonValueKind.False) } value)
        {
            fields.Problems.Add($"init_lora_weights is {ConfigFields.Excerpt(value)} but must be true, false or the name of a start.");
        }

        if (initial is { ValueKind: JsonValueKind.String } start
            && !(start.ValueEquals("gaussian") || start.ValueEquals("eva") || start.ValueEquals("orthogonal")))
        {
            fields.Problems.Add(
                "init_lora_weights names a start that changes the base weights, which is not supported. "
                + "Convert the adapter to a plain one with PEFT.");
        }

        foreach ((string field, JsonElement unread) in fields.Unread().Where(entry => !Harmless.Contains(entry.Key) && IsSet(entry.Value)))
        {
            fields.Problems.Add(
                $"{field} is set but not known, so what the adapter computes cannot be told. It is {ConfigFields.Excerpt(unread)}. "
                + "Remove it if it means nothing.");
        }
    }

    private static bool IsSet(JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.False or JsonValueKind.Null => false,
        JsonValueKind.Array => value.GetArrayLength() > 0,
        JsonValueKind.Object => value.EnumerateObject().Any(),
        _ => true,
    };
}
