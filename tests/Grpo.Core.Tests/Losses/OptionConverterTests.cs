using System.ComponentModel;
using System.Reflection;
using Grpo.Losses;

namespace Grpo.Core.Tests.Losses;

/// <summary>The closed list of converters against the open one that <see cref="TypeDescriptor"/> finds by attributes.</summary>
public sealed class OptionConverterTests
{
    public static TheoryData<Type> OptionTypes =>
    [
        typeof(GrpoOptions), typeof(TrainerOptions), .. typeof(GrpoOptions).Assembly.GetTypes().Where(
            type => !type.IsAbstract
                && (typeof(PolicyObjective).IsAssignableFrom(type) || typeof(AdvantageFunction).IsAssignableFrom(type))),
    ];

    [Theory]
    [MemberData(nameof(OptionTypes))]
    public void HasText_knows_every_option_or_it_is_a_section(Type type)
    {
        foreach (PropertyInfo property in Settable(type))
        {
            bool byAttribute = TypeDescriptor.GetConverter(property.PropertyType).CanConvertFrom(typeof(string));
            Assert.True(byAttribute == OptionConverter.HasText(property.PropertyType), $"{type.Name}.{property.Name}");
            Assert.True(
                byAttribute || typeof(IReflectedOptions).IsAssignableFrom(property.PropertyType),
                $"{type.Name}.{property.Name} is neither text nor marked.");
            if (!byAttribute)
            {
                HasText_knows_every_option_or_it_is_a_section(property.PropertyType);
            }
        }

        Assert.True(typeof(IReflectedOptions).IsAssignableFrom(type), type.Name);
    }

    [Theory]
    [MemberData(nameof(OptionTypes))]
    public void Text_and_Parse_equal_those_of_the_framework(Type type)
    {
        object options = Activator.CreateInstance(type)!;
        foreach (PropertyInfo property in Settable(type).Where(property => OptionConverter.HasText(property.PropertyType)))
        {
            TypeConverter converter = TypeDescriptor.GetConverter(property.PropertyType);
            string text = converter.ConvertToInvariantString(property.GetValue(options)) ?? string.Empty;
            Assert.Equal(converter.ConvertFromInvariantString(text), OptionConverter.Parse(property.PropertyType, text));
            if (property.GetValue(options) is { } value)
            {
                Assert.Equal(text, OptionConverter.Text(value));
            }
        }
    }

    [Theory]
    [InlineData(typeof(int), "x")]
    [InlineData(typeof(double), "")]
    [InlineData(typeof(LossReduction), "Mean")]
    [InlineData(typeof(bool?), "perhaps")]
    [InlineData(typeof(Uri), "https://example.com")]
    public void Parse_refuses_what_is_no_value(Type type, string text) => Assert.True(
        Record.Exception(() => OptionConverter.Parse(type, text)) is FormatException or ArgumentException or NotSupportedException);

    [Theory]
    [InlineData("LengthScaled")] // the name in checkpoints and options of earlier versions
    [InlineData(" lengthscaled ")]
    [InlineData("SequenceSum")]
    public void Parse_reads_the_earlier_name_of_a_reduction(string text)
    {
        Assert.Equal(LossReduction.SequenceSum, OptionConverter.Parse(typeof(LossReduction), text));
        Assert.Equal(LossReduction.SequenceSum, TypeDescriptor.GetConverter(typeof(LossReduction)).ConvertFromInvariantString(text));
        Assert.Equal("SequenceSum", OptionConverter.Text(LossReduction.SequenceSum));
    }

    private static IEnumerable<PropertyInfo> Settable(Type type) =>
        type.GetProperties(BindingFlags.Public | BindingFlags.Instance)
            .Where(property => property.GetSetMethod() is not null && property.GetIndexParameters().Length == 0);
}
