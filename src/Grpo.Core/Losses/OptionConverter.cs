using System.ComponentModel;

namespace Grpo.Losses;

/// <summary>Converts values of options to text and back, for the closed list of types that options have.</summary>
/// <remarks>
/// <see cref="TypeDescriptor"/> would find equal converters. It is not used, since it looks for attributes at run time, which trimming may
/// remove from an application.
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

    /// <summary>True if values of a type can be written as text.</summary>
    public static bool HasText(Type type) => Bare(type).IsEnum || Find(type) is not null;

    /// <summary>Parses a value. An empty text is null if the type allows null.</summary>
    /// <exception cref="FormatException">The text is not a value of the type.</exception>
    /// <exception cref="ArgumentException">The text is not a value of the type.</exception>
    /// <exception cref="NotSupportedException">Values of the type have no text.</exception>
    public static object? Parse(Type type, string text) => text.Length == 0 && Bare(type) != type ? null
        : Bare(type) == typeof(LossReduction) ? LossReductionConverter.Parse(text)
        : Bare(type).IsEnum ? Enum.Parse(Bare(type), text, ignoreCase: true)
        : Find(type) is { } converter ? converter.ConvertFromInvariantString(text)
        : throw new NotSupportedException($"{type.Name} has no values that can be written as text.");

    /// <summary>Converts a value to the text that <see cref="Parse"/> reads; any other object by its ToString.</summary>
    public static string? Text(object value) =>
        Find(value.GetType()) is { } converter ? converter.ConvertToInvariantString(value) : value.ToString();

    private static TypeConverter? Find(Type type) =>
        typeof(PolicyObjective).IsAssignableFrom(type) ? Objectives
        : typeof(AdvantageFunction).IsAssignableFrom(type) ? Advantages
        : Converters.GetValueOrDefault(Bare(type));

    private static Type Bare(Type type) => Nullable.GetUnderlyingType(type) ?? type;
}
