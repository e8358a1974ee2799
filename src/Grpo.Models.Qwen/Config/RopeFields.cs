using System.Text.Json;

namespace Grpo.Models.Qwen.Config;

/// <summary>Reads the rotary settings of a <c>config.json</c> and refuses those that would change the angles in an unknown way.</summary>
/// <remarks>
/// The settings are in <c>rope_parameters</c>; older files have <c>rope_scaling</c> and <c>rope_theta</c>. Every key in them must be known.
/// The kind of the angles is <c>rope_type</c>, in older files <c>type</c>. If neither is present, the angles are unscaled only if no key of
/// a scaling is present.
/// </remarks>
internal static class RopeFields
{
    private const string Theta = "rope_theta";
    private const string Consequence = "positions would be rotated by other angles than the original model's";

    private static readonly string[] ScalingKeys =
    [
        "factor", "original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow", "short_factor", "long_factor",
        "low_freq_factor", "high_freq_factor", "mscale", "mscale_all_dim", "short_mscale", "long_mscale", "truncate", "alpha",
        "mrope_section",
    ];

    /// <summary>The names that other model families use for θ.</summary>
    internal static readonly string[] OtherNamesOfTheta = ["rotary_emb_base", "rotary_base", "rope_base"];

    /// <summary>Reads the base θ and the scaling of the angles from every field that may hold them.</summary>
    internal static (double Theta, RopeScaling? Scaling) Read(ConfigFields fields, double defaultValue)
    {
        var bases = new List<(string Name, double Value)>();
        var scalings = new List<(string Name, RopeScaling? Value)>();
        if (fields.Has(Theta))
        {
            bases.Add((Theta, fields.Real(Theta, defaultValue)));
        }

        foreach (string name in (ReadOnlySpan<string>)["rope_parameters", "rope_scaling"])
        {
            if (fields.Raw(name) is { } settings)
            {
                Read(fields, name, settings, bases, scalings);
            }
        }

        if (scalings is [(var newer, var first), (var older, var second)] && first != second)
        {
            fields.Problems.Add(
                $"{newer} is {Describe(first)} but {older} is {Describe(second)}: which of them the model was trained with cannot be "
                + "told.");
        }

        return (AgreedTheta(fields, bases, defaultValue), scalings.Count == 0 ? null : scalings[0].Value);
    }

    /// <summary>Returns the settings that are written to a <c>config.json</c>, for readers of <c>rope_scaling</c>.</summary>
    /// <remarks>A constant that may be missing is written only if it is not the default, because older readers do not know all.</remarks>
    internal static IEnumerable<(string Name, object Value)> Written(RopeScaling scaling)
    {
        var defaults = RopeScalingFields.Constants(new RopeScaling { Kind = scaling.Kind, Factor = scaling.Factor }).ToHashSet();
        return RopeScalingFields.Constants(scaling)
            .Where(field => RopeScalingFields.Required(scaling.Kind).Contains(field.Name) || !defaults.Contains(field))
            .Append(("rope_type", scaling.KindName))
            .OrderBy(field => field.Name, StringComparer.Ordinal);
    }

    private static double AgreedTheta(ConfigFields fields, List<(string Name, double Value)> bases, double defaultValue)
    {
        (string source, double theta) = bases.Count == 0 ? (Theta, defaultValue) : bases[0];
        foreach (string name in OtherNamesOfTheta)
        {
            if (fields.Peek(name) is { } other)
            {
                bases.Add((name, fields.Real(name, other)));
            }
        }

        foreach ((string name, double value) in bases.Where(
            entry => double.IsFinite(theta) && double.IsFinite(entry.Value) && entry.Value != theta))
        {
            fields.Problems.Add(FormattableString.Invariant(
                $"{source} is {theta} but {name} is {value}: which of them the model was trained with cannot be told."));
        }

        return theta;
    }

    private static void Read(
        ConfigFields fields, string name, JsonElement settings, List<(string, double)> bases, List<(string, RopeScaling?)> scalings)
    {
        if (settings.ValueKind != JsonValueKind.Object)
        {
            fields.Problems.Add($"{name} is {ConfigFields.Excerpt(settings)} but must be an object.");
            return;
        }

        (RopeScalingKind? kind, string? problem) = KindOf(name, settings);
        if (problem is not null)
        {
            fields.Problems.Add(name == "rope_scaling"
                ? $"{name} is set but not supported: {problem}"
                : problem);
            return;
        }

        scalings.Add((name, kind is { } scaled ? RopeScalingFields.Read(fields, name, settings, scaled) : null));
        if (JsonFile.TryGet(settings, Theta, out JsonElement theta))
        {
            bases.Add(($"{name}.{Theta}", fields.Real($"{name}.{Theta}", theta)));
        }
    }

    /// <summary>Returns the kind of the scaling, null for unscaled angles, or a sentence that says why the angles cannot be told.</summary>
    private static (RopeScalingKind? Kind, string? Problem) KindOf(string name, JsonElement settings)
    {
        JsonProperty[] set = [.. settings.EnumerateObject().Where(property => property.Value.ValueKind != JsonValueKind.Null)];
        if (set.FirstOrDefault(property => property.Value.ValueKind == JsonValueKind.Object)
            is { Value.ValueKind: JsonValueKind.Object } nested)
        {
            return (null, $"{name} is nested: {nested.Name} has settings of its own. Only one setting for all layers is supported.");
        }

        bool hasType = JsonFile.TryGet(settings, "rope_type", out JsonElement type);
        bool hasOlder = JsonFile.TryGet(settings, "type", out JsonElement older);
        if (hasType && hasOlder && !JsonElement.DeepEquals(type, older))
        {
            return (null, $"{name} has rope_type {ConfigFields.Excerpt(type)} and type "
                + $"{ConfigFields.Excerpt(older)}, which contradict each other.");
        }

        string? typeKey = hasType ? "rope_type" : hasOlder ? "type" : null;
        JsonElement named = hasType ? type : older;
        string? word = typeKey is not null && named.ValueKind == JsonValueKind.String ? named.GetString() : null;
        RopeScalingKind? kind = word is null ? null : RopeScalingFields.KindOf(word);
        if (typeKey is not null && kind is null && word != "default")
        {
            return (null, $"{name}.{typeKey} is {ConfigFields.Excerpt(named)} but must be \"default\", {RopeScalingFields.Names}: "
                + $"{Consequence}.");
        }

        string? missing = kind is { } scaled
            ? RopeScalingFields.Required(scaled).FirstOrDefault(key => !JsonFile.TryGet(settings, key, out _))
            : null;
        string? problem = missing is null
            ? set.Select(property => ProblemOf(name, typeKey, kind, property)).FirstOrDefault(sentence => sentence is not null)
            : $"{name}.{typeKey} is \"{word}\", but {missing} is missing.";
        return (kind, problem);
    }

    // Why a key of the settings makes it impossible to tell the angles; null if it does not.
    private static string? ProblemOf(string name, string? typeKey, RopeScalingKind? kind, JsonProperty property) => property.Name switch
    {
        "rope_type" or "type" or Theta => null,
        { } key when kind is { } scaled && RopeScalingFields.Uses(scaled, key) => null,
        "partial_rotary_factor" => property.Value.ValueKind == JsonValueKind.Number && property.Value.GetDouble() == 1
            ? null
            : $"{name}.partial_rotary_factor is {ConfigFields.Excerpt(property.Value)} but only 1 is supported: {Consequence}.",
        { } scaling when ScalingKeys.Contains(scaling) => typeKey is null
            ? $"{name} has {scaling} but neither rope_type nor type: {Consequence}."
            : kind is { } scaled
                ? $"{name}.{typeKey} is \"{RopeScalingFields.NameOf(scaled)}\", but {scaling} is set, which is not supported with it: "
                    + $"{Consequence}."
                : $"{name}.{typeKey} is \"default\", but {scaling} is set: whether the angles are scaled cannot be told.",
        { } unknown => $"{name} has {unknown}, which is not known, so what it does to the angles cannot be told.",
    };

    private static string Describe(RopeScaling? scaling) => scaling is null ? "unscaled" : $"({scaling.Describe()})";
}
