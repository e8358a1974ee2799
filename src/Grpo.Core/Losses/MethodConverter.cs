using System.ComponentModel;
using System.Globalization;
using System.Reflection;
using System.Text;
using System.Text.RegularExpressions;
using Grpo.IO;

namespace Grpo.Losses;

/// <summary>
/// Converts methods of a family to text and back, for configuration files, environment variables and command lines. A text is the name in
/// kebab case, with parameters in parentheses that differ from their defaults: "clipped", "clipped(Low=0.2, High=0.28)".
/// </summary>
/// <typeparam name="T">The base type of the family.</typeparam>
internal abstract partial class MethodConverter<T> : TypeConverter
    where T : class, IReflectedOptions
{
    private readonly string _suffix;
    private readonly Func<T>[] _methods;

    /// <summary>Creates the converter.</summary>
    /// <param name="suffix">The suffix of the type names, which the texts leave out.</param>
    /// <param name="methods">The factories that create each method with its defaults.</param>
    protected MethodConverter(string suffix, params Func<T>[] methods) => (_suffix, _methods) = (suffix, methods);

    public override bool CanConvertFrom(ITypeDescriptorContext? context, Type sourceType) => sourceType == typeof(string);

    public override object ConvertFrom(ITypeDescriptorContext? context, CultureInfo? culture, object value)
    {
        string text = (value as string ?? string.Empty).Trim();
        Match match = Form().Match(text);
        string name = match.Groups["name"].Value;
        T? method = _methods.Select(create => create())
            .FirstOrDefault(candidate => TextName(candidate).Equals(name, StringComparison.OrdinalIgnoreCase));
        if (method is null)
        {
            throw new FormatException(
                $"'{TerminalText.EscapeLine(text)}' is no {_suffix.ToLowerInvariant()}; write one of "
                + $"{string.Join(", ", _methods.Select(create => TextName(create())))}, with parameters in brackets: "
                + "name(Parameter=value, Parameter=value).");
        }

        foreach (string pair in match.Groups["parameters"].Value
            .Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            Set(method, pair);
        }

        return method;
    }

    // Writes every parameter that is not null, so that the text converts back to an equal method.
    public override object? ConvertTo(ITypeDescriptorContext? context, CultureInfo? culture, object? value, Type destinationType)
    {
        if (value is not T method || destinationType != typeof(string))
        {
            return base.ConvertTo(context, culture, value, destinationType);
        }

        string[] parameters = [.. Parameters(method).Where(property => property.GetValue(method) is not null)
            .Select(property => string.Create(CultureInfo.InvariantCulture, $"{property.Name}={property.GetValue(method)}"))];
        return parameters.Length == 0 ? TextName(method) : $"{TextName(method)}({string.Join(", ", parameters)})";
    }

    private void Set(T method, string pair)
    {
        string[] sides = pair.Split('=', 2, StringSplitOptions.TrimEntries);
        PropertyInfo? property = Parameters(method)
            .FirstOrDefault(candidate => candidate.Name.Equals(sides[0], StringComparison.OrdinalIgnoreCase));
        if (property is null || sides.Length < 2)
        {
            throw new FormatException(
                $"'{TerminalText.EscapeLine(pair)}' is no parameter of {TextName(method)}; it has "
                + $"{string.Join(", ", Parameters(method).Select(candidate => candidate.Name))}, written Parameter=value.");
        }

        try
        {
            Type type = Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType;
            property.SetValue(method, OptionConverter.Parse(type, sides[1]));
        }
        catch (Exception exception) when (exception is FormatException or ArgumentException or NotSupportedException)
        {
            throw new FormatException($"'{TerminalText.EscapeLine(sides[1])}' is no value for {TextName(method)}'s {property.Name} "
                + $"({property.PropertyType.Name}).", exception);
        }
    }

    private static IEnumerable<PropertyInfo> Parameters(IReflectedOptions method) =>
        method.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Where(property => property.SetMethod is { IsPublic: true });

    private string TextName(T method)
    {
        string name = method.GetType().Name;
        var text = new StringBuilder();
        foreach (char letter in name.EndsWith(_suffix, StringComparison.Ordinal) ? name[..^_suffix.Length] : name)
        {
            text.Append(char.IsUpper(letter) && text.Length > 0 ? "-" : string.Empty).Append(char.ToLowerInvariant(letter));
        }

        return text.ToString();
    }

    [GeneratedRegex(@"^(?<name>[A-Za-z0-9-]+)\s*(\((?<parameters>[^()]*)\))?$", RegexOptions.NonBacktracking)]
    private static partial Regex Form();
}
