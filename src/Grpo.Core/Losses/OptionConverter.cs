using System.ComponentModel;

namespace Grpo.Losses;

/// <summary>Makes values of options from text and text from values: for the closed list of types that options have.</summary>
/// <remarks>
/// These are the converters that <see cref="TypeDescriptor"/> finds. It is not asked, since it looks for attributes at run time, which a
/// trimmed application need not have.
/// </remarks>
internal static class OptionConverter
{
    private static readonly Dictionary<Type, TypeConverter> Converters = new()
    {
        [typeof(bool)] = new BooleanConverter(),
        [typeof(int)] = new Int32Converter(),
        [typeof(long)] = new Int64Converter(),
        [typeof(ulong)] = new UInt64Converter(),
        [typeof(float)] = new SingleConverter(),
        [typeof(double)] = new DoubleConverter(),
        [typeof(string)] = new StringConverter(),
        [typeof(TimeSpan)] = new TimeSpanConverter(),
    };

    private static readonly PolicyObjectiveConverter Objectives = new();
    private static readonly AdvantageFunctionConverter Advantages = new();

    /// <summary>True if a text can stand for a value of a type.</summary>
    public static bool HasText(Type type) => Bare(type).IsEnum || Find(type) is not null;

    /// <summary>Makes a value from its text. An empty text stands for null where a type allows it.</summary>
    /// <exception cref="FormatException">The text is none of the values.</exception>
    /// <exception cref="ArgumentException">The text is none of the values.</exception>
    /// <exception cref="NotSupportedException">No text stands for a value of the type.</exception>
    public static object? Parse(Type type, string text) => text.Length == 0 && Bare(type) != type ? null
        : Bare(type).IsEnum ? Enum.Parse(Bare(type), text, ignoreCase: true)
        : Find(type) is { } converter ? converter.ConvertFromInvariantString(text)
        : throw new NotSupportedException($"{type.Name} has no values that can be written as text.");

    /// <summary>Writes a value as <see cref="Parse"/> reads it; any other object in its own words.</summary>
    public static string? Text(object value) =>
        Find(value.GetType()) is { } converter ? converter.ConvertToInvariantString(value) : value.ToString();

    private static TypeConverter? Find(Type type) =>
        typeof(PolicyObjective).IsAssignableFrom(type) ? Objectives
        : typeof(AdvantageFunction).IsAssignableFrom(type) ? Advantages
        : Converters.GetValueOrDefault(Bare(type));

    private static Type Bare(Type type) => Nullable.GetUnderlyingType(type) ?? type;
}
