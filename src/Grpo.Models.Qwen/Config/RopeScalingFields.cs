using System.Text.Json;

namespace Grpo.Models.Qwen.Config;

/// <summary>The names of the constants of a rotary scaling in <c>config.json</c>, for reading and writing.</summary>
internal static class RopeScalingFields
{
    private const string Factor = "factor";
    private const string Original = "original_max_position_embeddings";

    private static readonly (RopeScalingKind Kind, string Name, string[] Required, string[] Optional)[] Kinds =
    [
        (RopeScalingKind.Linear, "linear", [Factor], []),
        (RopeScalingKind.Llama3, "llama3", [Factor, "low_freq_factor", "high_freq_factor", Original], []),
        (RopeScalingKind.Yarn, "yarn", [Factor], [Original, "attention_factor", "beta_fast", "beta_slow", "truncate"]),
    ];

    /// <summary>The names of the kinds, for messages.</summary>
    internal static string Names => string.Join(", ", Kinds.Select(kind => $"\"{kind.Name}\""));

    /// <summary>Returns the name of a kind.</summary>
    internal static string NameOf(RopeScalingKind kind) => Kinds.First(entry => entry.Kind == kind).Name;

    /// <summary>Returns the kind of a name; null if it is not known.</summary>
    internal static RopeScalingKind? KindOf(string name) =>
        Kinds.Where(entry => entry.Name == name).Select(entry => (RopeScalingKind?)entry.Kind).FirstOrDefault();

    /// <summary>Returns the names of the constants that a kind needs.</summary>
    internal static IReadOnlyList<string> Required(RopeScalingKind kind) => Kinds.First(entry => entry.Kind == kind).Required;

    /// <summary>True if a kind uses the constant.</summary>
    internal static bool Uses(RopeScalingKind kind, string name) =>
        Array.Exists(Kinds, entry => entry.Kind == kind && (entry.Required.Contains(name) || entry.Optional.Contains(name)));

    /// <summary>Reads the constants of a kind. All required ones are present. A problem is added for each of the wrong type.</summary>
    /// <param name="fields">The fields of the file, which collect problems.</param>
    /// <param name="source">The name of the object in the file.</param>
    /// <param name="settings">The object.</param>
    /// <param name="kind">The kind of the scaling.</param>
    internal static RopeScaling Read(ConfigFields fields, string source, JsonElement settings, RopeScalingKind kind)
    {
        var scaling = new RopeScaling { Kind = kind, Factor = Real(Factor) ?? double.NaN };
        return scaling with
        {
            OriginalMaxPositions = Uses(kind, Original) ? Whole(Original) : null,
            LowFrequencyFactor = Real("low_freq_factor") ?? scaling.LowFrequencyFactor,
            HighFrequencyFactor = Real("high_freq_factor") ?? scaling.HighFrequencyFactor,
            BetaFast = Real("beta_fast") ?? scaling.BetaFast,
            BetaSlow = Real("beta_slow") ?? scaling.BetaSlow,
            AttentionFactor = Real("attention_factor"),
            Truncate = Flag("truncate") ?? scaling.Truncate,
        };

        double? Real(string name) => Find(name) is { } value ? fields.Real($"{source}.{name}", value) : null;

        int? Whole(string name)
        {
            if (Real(name) is not { } number || double.IsNaN(number))
            {
                return null;
            }

            if (number == Math.Truncate(number) && Math.Abs(number) <= int.MaxValue)
            {
                return (int)number;
            }

            fields.Problems.Add(FormattableString.Invariant($"{source}.{name} is {number} but must be a whole number."));
            return null;
        }

        bool? Flag(string name)
        {
            if (Find(name) is not { } value)
            {
                return null;
            }

            if (value.ValueKind is not (JsonValueKind.True or JsonValueKind.False))
            {
                fields.Problems.Add($"{source}.{name} is {ConfigFields.Excerpt(value)} but must be true or false.");
            }

            return value.ValueKind == JsonValueKind.True;
        }

        JsonElement? Find(string name) => Uses(kind, name) && JsonFile.TryGet(settings, name, out JsonElement value) ? value : null;
    }

    /// <summary>Returns the constants that the kind uses, without those that are null.</summary>
    internal static IEnumerable<(string Name, object Value)> Constants(RopeScaling scaling) => new (string Name, object? Value)[]
    {
        (Factor, scaling.Factor),
        (Original, scaling.OriginalMaxPositions),
        ("low_freq_factor", scaling.LowFrequencyFactor),
        ("high_freq_factor", scaling.HighFrequencyFactor),
        ("attention_factor", scaling.AttentionFactor),
        ("beta_fast", scaling.BetaFast),
        ("beta_slow", scaling.BetaSlow),
        ("truncate", scaling.Truncate),
    }.Where(field => field.Value is not null && Uses(scaling.Kind, field.Name)).Select(field => (field.Name, field.Value!));
}
