using System.CommandLine;
using System.ComponentModel;
using System.Globalization;
using System.Reflection;
using System.Text;
using Grpo.Optimization;

namespace Grpo.Samples.Gsm8k;

/// <summary>
/// Creates a command-line option for every settable property of an options class, so that a new property needs no code here.
/// </summary>
internal static class SettingOptions
{
    // What an option does that is not set, if that is not nothing.
    private static readonly Dictionary<string, string> Unset = new()
    {
        ["Grpo:LearningRate"] = Rates(new GrpoOptions().ChooseLearningRate),
        ["Supervised:LearningRate"] = Rates(new SupervisedOptions().ChooseLearningRate),
    };

    /// <summary>Creates the options of a section, each with the configuration key that it sets.</summary>
    /// <param name="section">The configuration section, such as "Grpo".</param>
    /// <param name="defaults">An object with the default values.</param>
    public static IReadOnlyList<(string Key, Option<string?> Option)> For(string section, object defaults)
    {
        var options = new List<(string, Option<string?>)>();
        Collect(section, defaults, options);
        return options;
    }

    private static void Collect(string path, object values, List<(string Key, Option<string?> Option)> options)
    {
        foreach (PropertyInfo property in values.GetType().GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            if (property.GetSetMethod() is null)
            {
                continue;
            }

            object? value = property.GetValue(values);
            string key = $"{path}:{property.Name}";
            if (value is not null && !TypeDescriptor.GetConverter(value.GetType()).CanConvertFrom(typeof(string)))
            {
                Collect(key, value, options);
                continue;
            }

            Type type = Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType;
            string allowed = type.IsEnum ? $"; one of {string.Join(", ", Enum.GetNames(type))}" : string.Empty;
            string shown = value is not null && TypeDescriptor.GetConverter(type).ConvertToInvariantString(value) is { Length: > 0 } text
                ? text
                : Unset.GetValueOrDefault(key, "none");
            options.Add((key, new Option<string?>(ToKebabCase(property.Name))
            {
                Description = $"{key.Replace(':', '.')} ({type.Name}{allowed}; default {shown})",
                HelpName = "value",
            }));
        }
    }

    private static string Rates(Func<bool, LearningRateChoice> choose) => string.Create(
        CultureInfo.InvariantCulture, $"{choose(false).Rate}, and {choose(true).Rate} for adapters");

    private static string ToKebabCase(string name)
    {
        var kebab = new StringBuilder("-");
        foreach (char letter in name)
        {
            if (char.IsUpper(letter))
            {
                kebab.Append('-');
            }

            kebab.Append(char.ToLowerInvariant(letter));
        }

        return kebab.ToString();
    }
}
