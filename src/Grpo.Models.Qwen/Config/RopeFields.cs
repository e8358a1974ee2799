using System.Text.Json;

namespace Grpo.Models.Qwen.Config;

/// <summary>Reads the base of the rotary angles from a <c>config.json</c> and refuses settings that would change the angles.</summary>
/// <remarks>
/// The settings are in <c>rope_parameters</c>; older files have <c>rope_scaling</c> and <c>rope_theta</c>. Every key in them must be known.
/// The kind of the angles is <c>rope_type</c>, in older files <c>type</c>. If neither is present, the angles are unscaled only if no key of
/// a scaling is present.
/// </remarks>
internal static class RopeFields
{
    private const string Theta = "rope_theta";

    private static readonly string[] ScalingKeys =
    [
        "factor", "original_max_position_embeddings", "attention_factor", "beta_fast", "beta_slow", "short_factor", "long_factor",
        "low_freq_factor", "high_freq_factor", "mscale", "mscale_all_dim", "short_mscale", "long_mscale", "truncate", "alpha",
        "mrope_section",
    ];

    /// <summary>The names that other model families use for θ.</summary>
    internal static readonly string[] OtherNamesOfTheta = ["rotary_emb_base", "rotary_base", "rope_base"];

    /// <summary>Reads the base θ of the angles from every field that may hold it.</summary>
    internal static double ReadTheta(ConfigFields fields, double defaultValue)
    {
        var bases = new List<(string Name, double Value)>();
        if (fields.Has(Theta))
        {
            bases.Add((Theta, fields.Real(Theta, defaultValue)));
        }

        foreach (string name in (ReadOnlySpan<string>)["rope_parameters", "rope_scaling"])
        {
            if (fields.Raw(name) is { } settings)
            {
                Read(fields, name, settings, bases);
            }
        }

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

    private static void Read(ConfigFields fields, string name, JsonElement settings, List<(string Name, double Value)> bases)
    {
        if (settings.ValueKind != JsonValueKind.Object)
        {
            fields.Problems.Add($"{name} is {ConfigFields.Excerpt(settings)} but must be an object.");
            return;
        }

        string? problem = ProblemOf(name, settings);
        if (problem is not null)
        {
            fields.Problems.Add(name == "rope_scaling"
                ? $"{name} is set but not supported: {problem}"
                : problem);
        }
        else if (JsonFile.TryGet(settings, Theta, out JsonElement theta))
        {
            bases.Add(($"{name}.{Theta}", fields.Real($"{name}.{Theta}", theta)));
        }
    }

    /// <summary>Returns a sentence that says why the angles would not be those of unscaled RoPE; null if they are.</summary>
    private static string? ProblemOf(string name, JsonElement settings)
    {
        const string Consequence = "positions would be rotated by other angles than the original model's";
        JsonProperty[] set = [.. settings.EnumerateObject().Where(property => property.Value.ValueKind != JsonValueKind.Null)];
        if (set.FirstOrDefault(property => property.Value.ValueKind == JsonValueKind.Object)
            is { Value.ValueKind: JsonValueKind.Object } nested)
        {
            return $"{name} is nested: {nested.Name} has settings of its own. Only one setting for all layers is supported.";
        }

        bool hasType = JsonFile.TryGet(settings, "rope_type", out JsonElement type);
        bool hasOlder = JsonFile.TryGet(settings, "type", out JsonElement older);
        if (hasType && hasOlder && !JsonElement.DeepEquals(type, older))
        {
            return $"{name} has rope_type {ConfigFields.Excerpt(type)} and type "
                + $"{ConfigFields.Excerpt(older)}, which contradict each other.";
        }

        string typeKey = hasType ? "rope_type" : "type";
        JsonElement kind = hasType ? type : older;
        if ((hasType || hasOlder) && !(kind.ValueKind == JsonValueKind.String && kind.ValueEquals("default")))
        {
            return $"{name}.{typeKey} is {ConfigFields.Excerpt(kind)} but only \"default\" is supported: {Consequence}. "
                + "Scaling is not supported yet.";
        }

        foreach (JsonProperty property in set)
        {
            switch (property.Name)
            {
                case "rope_type" or "type" or Theta:
                    break;
                case "partial_rotary_factor" when property.Value.ValueKind == JsonValueKind.Number && property.Value.GetDouble() == 1:
                    break;
                case "partial_rotary_factor":
                    return $"{name}.partial_rotary_factor is {ConfigFields.Excerpt(property.Value)} but "
                        + $"only 1 is supported: {Consequence}.";
                case { } scaling when ScalingKeys.Contains(scaling):
                    return hasType || hasOlder
                        ? $"{name}.{typeKey} is \"default\", but {scaling} is set: whether the angles are scaled cannot be told."
                        : $"{name} has {scaling} but neither rope_type nor type: {Consequence}. Scaling is not supported yet.";
                default:
                    return $"{name} has {property.Name}, which is not known, so what it does to the angles cannot be told.";
            }
        }

        return null;
    }
}
