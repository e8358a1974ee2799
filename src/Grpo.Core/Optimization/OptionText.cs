using System.Collections;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using Grpo.IO;
using Grpo.Losses;

namespace Grpo.Optimization;

/// <summary>
/// Converts options to readable names and texts and back. Equal texts mean equal values, to the last bit of every number.
/// </summary>
internal static class OptionText
{
    // Options are never nested this deep. The limit ends the recursion for an object that contains itself.
    private const int MaxDepth = 8;

    /// <summary>Returns the name and text of every settable property. Properties of inner options are named "Outer.Inner".</summary>
    /// <param name="options">The options.</param>
    /// <param name="path">The prefix of every name.</param>
    public static IEnumerable<KeyValuePair<string, string?>> From(IReflectedOptions options, string path)
    {
        foreach (PropertyInfo property in options.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Where(property => property.GetSetMethod() is not null && property.GetIndexParameters().Length == 0)
            .OrderBy(property => property.Name, StringComparer.Ordinal))
        {
            object? value = property.GetValue(options);
            if (value is IReflectedOptions section && !OptionConverter.HasText(value.GetType()))
            {
                foreach (KeyValuePair<string, string?> inner in From(section, $"{path}{property.Name}."))
                {
                    yield return inner;
                }
            }
            else
            {
                yield return new(path + property.Name, Show(value));
            }
        }
    }

    /// <summary>Sets properties from the names and texts that <see cref="From"/> returned.</summary>
    /// <param name="options">The options to change.</param>
    /// <param name="path">The prefix of every name.</param>
    /// <param name="texts">The names and texts. Options without a name here stay unchanged.</param>
    /// <exception cref="FormatException">A name or a text is not valid; the message contains the name.</exception>
    public static void Apply(IReflectedOptions options, string path, IReadOnlyDictionary<string, string?> texts)
    {
        var unknown = new HashSet<string>(texts.Keys, StringComparer.Ordinal);
        Apply(options, path, texts, unknown);
        if (unknown.Count > 0)
        {
            throw new FormatException(
                $"'{TerminalText.EscapeLine(unknown.Order(StringComparer.Ordinal).First())}' is no option of this version.");
        }
    }

    /// <summary>Returns the text of a value; null for null.</summary>
    /// <remarks>
    /// Numbers, enums and strings have their invariant text. Methods of the library have their text in configuration
    /// ("clipped(Low=0.2)"). Any other object has its full type name and its public stored properties.
    /// </remarks>
    public static string? Show(object? value) => Show(value, depth: 0);

    private static void Apply(IReflectedOptions options, string path, IReadOnlyDictionary<string, string?> texts, HashSet<string> unknown)
    {
        foreach (PropertyInfo property in options.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Where(property => property.GetSetMethod() is not null && property.GetIndexParameters().Length == 0))
        {
            string name = path + property.Name;
            if (property.GetValue(options) is IReflectedOptions section && !OptionConverter.HasText(section.GetType()))
            {
                Apply(section, $"{name}.", texts, unknown);
            }
            else if (texts.TryGetValue(name, out string? text))
            {
                unknown.Remove(name);
                property.SetValue(options, Parse(name, text, property.PropertyType));
            }
        }
    }

    private static object? Parse(string name, string? text, Type type)
    {
        bool nullable = !type.IsValueType || Nullable.GetUnderlyingType(type) is not null;
        if (text is null && nullable)
        {
            return null;
        }

        try
        {
            return OptionConverter.Parse(type, text ?? string.Empty);
        }
        catch (Exception exception) when (exception is FormatException or ArgumentException or NotSupportedException)
        {
            throw new FormatException($"{name} was '{TerminalText.EscapeLine(text)}', which cannot be made from its text.", exception);
        }
    }

    private static string? Show(object? value, int depth) => value switch
    {
        null => null,
        string text => text,
        bool or Enum => value.ToString(),
        TimeSpan time => time.ToString("c", CultureInfo.InvariantCulture),
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        IEnumerable items => depth >= MaxDepth
            ? "…"
            : $"[{string.Join(", ", items.Cast<object?>().Select(item => Show(item, depth + 1) ?? "null"))}]",
        _ when IsOurs(value.GetType()) && OptionConverter.HasText(value.GetType()) => OptionConverter.Text(value),
        _ => ShowObject(value, depth),
    };

    private static string ShowObject(object value, int depth)
    {
        Type type = value.GetType();
        IEnumerable<string> properties = depth >= MaxDepth ? ["…"] : PropertiesOf(value)
            .Where(property => property.GetIndexParameters().Length == 0 && IsStored(property))
            .OrderBy(property => property.Name, StringComparer.Ordinal)
            .Select(property => $"{property.Name}={Show(property.GetValue(value), depth + 1) ?? "null"}");
        string list = string.Join(", ", properties);
        return list.Length == 0 ? type.FullName ?? type.Name : $"{type.FullName}({list})";
    }

    // A computed property follows from stored ones. Its getter could throw, which must not make a save fail.
    private static bool IsStored(PropertyInfo property) => property.GetMethod is { IsPublic: true } getter
        && (property.SetMethod is { IsPublic: true } || getter.IsDefined(typeof(CompilerGeneratedAttribute), inherit: false));

    [UnconditionalSuppressMessage(
        "Trimming",
        "IL2075",
        Justification = "Options and methods keep their properties. An object that a user's method holds keeps those that the application "
            + "reads; it is shown in the same words on saving and on resuming.")]
    private static PropertyInfo[] PropertiesOf(object value) => value.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance);

    private static bool IsOurs(Type type) => type.Assembly == typeof(OptionText).Assembly;
}
