using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;
using Grpo.Hub;

namespace Grpo.Models.Qwen.Config;

/// <summary>Writes <c>config.json</c> in the older spelling, which every version of transformers reads.</summary>
internal static class DecoderConfigWriter
{
    // transformers 4 records here what a model was loaded from: a hub id, or a folder on the machine of whoever saved it.
    private const string Origin = "_name_or_path";

    private static readonly JsonWriterOptions Indented = new() { Indented = true, NewLine = "\n" };

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

        foreach ((string name, JsonElement value) in config.OtherFields.Where(field => field.Key != Origin || IsHubId(field.Value)))
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

    private static bool IsHubId(JsonElement value) =>
        value.ValueKind == JsonValueKind.String && value.GetString() is { } id && HubClient.IsId(id);

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
