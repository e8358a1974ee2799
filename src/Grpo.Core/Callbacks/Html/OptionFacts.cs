using System.Collections;
using System.Globalization;
using System.Reflection;
using Grpo.Losses;

namespace Grpo.Callbacks;

/// <summary>The options of a run as names and values; those that differ from the defaults are told apart.</summary>
internal static class OptionFacts
{
    public static IReadOnlyList<OptionFact> Of(GrpoOptions options)
    {
        var facts = new List<OptionFact>();
        Collect(string.Empty, options, new GrpoOptions(), facts);
        return facts;
    }

    private static void Collect(string path, IReflectedOptions values, IReflectedOptions defaults, List<OptionFact> facts)
    {
        foreach (PropertyInfo property in values.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Where(property => property.GetSetMethod() is not null && property.GetIndexParameters().Length == 0))
        {
            object? value = property.GetValue(values), usual = property.GetValue(defaults);
            if (value is IReflectedOptions inner && usual is IReflectedOptions usualInner && !OptionConverter.HasText(value.GetType()))
            {
                Collect($"{path}{property.Name}.", inner, usualInner, facts);
            }
            else
            {
                string text = Show(value);
                facts.Add(new OptionFact(path + property.Name, text, text != Show(usual)));
            }
        }
    }

    private static string Show(object? value) => value switch
    {
        null => "none",
        string text => text,
        IFormattable number and not Enum => number.ToString(null, CultureInfo.InvariantCulture),
        IEnumerable items => string.Join(", ", items.Cast<object?>().Select(Show)),
        _ => OptionConverter.Text(value) is { Length: > 0 } text ? text : Numbers.Missing,
    };
}

/// <summary>An option of a run.</summary>
/// <param name="Name">Its name, with its section: Sampling.Temperature.</param>
/// <param name="Value">Its value as text.</param>
/// <param name="IsChanged">Whether it is not the default.</param>
internal sealed record OptionFact(string Name, string Value, bool IsChanged);
