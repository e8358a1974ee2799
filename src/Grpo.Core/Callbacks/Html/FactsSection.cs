using System.Collections;
using System.Globalization;
using System.Reflection;
using System.Runtime.InteropServices;
using Grpo.Losses;
using Grpo.Tensors;

namespace Grpo.Callbacks;

/// <summary>Writes the section with the facts that are needed to repeat the run: options, seed, versions and hardware.</summary>
internal static class FactsSection
{
    private const int MaxCharacters = 2000;

    public static void Write(HtmlWriter page, RunHistory history, IReadOnlyList<KeyValuePair<string, string>> facts)
    {
        page.Write($"""<section aria-labelledby="settings"><h2 id="settings">Settings and machine</h2><div class="columns">""");
        IReadOnlyList<KeyValuePair<string, string>> all =
        [
            .. facts,
            new("Written", DateTimeOffset.UtcNow.ToString("yyyy-MM-dd HH:mm 'UTC'", CultureInfo.InvariantCulture)),
            .. MachineFacts.Read(),
        ];
        page.Write($"""<div class="card"><h3>Run</h3><dl>""");
        foreach ((string name, string value) in all)
        {
            page.Write($"<dt>{HtmlText.Cut(name, 80)}</dt><dd>{HtmlText.Cut(value, MaxCharacters)}</dd>");
        }

        page.Write($"""</dl></div><div class="card"><h3>Options</h3>""");
        if (history.Start is { } start)
        {
            WriteOptions(page, OptionFacts.From(start.Options));
        }
        else
        {
            page.Write($"""<p class="missing">The run ended before it began, so its options are not known.</p>""");
        }

        page.Write($"</div></div></section>\n");
    }

    private static void WriteOptions(HtmlWriter page, IReadOnlyList<OptionFact> options)
    {
        page.Write(
            $"""<p class="note">Bold: other than the default.</p><div class="scroll" tabindex="0"><table class="options"><thead><tr><th """
            + $"""scope="col">Option</th><th scope="col">Value</th></tr></thead><tbody>""");
        foreach (OptionFact option in options)
        {
            string value = HtmlText.Cut(option.Value, MaxCharacters);
            page.Write($"""<tr><th scope="row">{option.Name}</th>""");
            if (option.IsChanged)
            {
                page.Write($"<td><strong>{value}</strong></td></tr>");
            }
            else
            {
                page.Write($"<td>{value}</td></tr>");
            }
        }

        page.Write($"</tbody></table></div>");
    }
}

/// <summary>Lists the options of a run as names and values, and marks those that differ from the defaults.</summary>
internal static class OptionFacts
{
    public static IReadOnlyList<OptionFact> From(GrpoOptions options)
    {
        var facts = new List<OptionFact>();
        Collect(string.Empty, options, new GrpoOptions { LearningRate = GrpoOptions.FullTrainingRate }, facts);
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
/// <param name="Name">The name with its section, such as Sampling.Temperature.</param>
/// <param name="Value">The value as text.</param>
/// <param name="IsChanged">True if the value is not the default.</param>
internal sealed record OptionFact(string Name, string Value, bool IsChanged);

/// <summary>Lists versions and hardware, without anything that identifies a person or a machine.</summary>
internal static class MachineFacts
{
    private const string CpuInfo = "/proc/cpuinfo";

    public static IReadOnlyList<KeyValuePair<string, string>> Read()
    {
        var facts = new List<KeyValuePair<string, string>>
        {
            new("Grpo", Version(typeof(MachineFacts).Assembly)),
            new(".NET", RuntimeInformation.FrameworkDescription),
            new("Torch", Torch()),
            new("System", $"{RuntimeInformation.OSDescription.Trim()}, {RuntimeInformation.RuntimeIdentifier}"),
            new("Processor", Processor()),
            new("Memory", string.Create(
                CultureInfo.InvariantCulture,
                $"{GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (double)(1L << 30):0.0} GiB usable by this process")),
        };
        return facts;
    }

    private static string Version(Assembly assembly) =>
        assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "of unknown version";

    // A report needs no libtorch, so it may not be installed.
    private static string Torch()
    {
        try
        {
            return TorchBackend.Describe();
        }
        catch (BackendUnavailableException)
        {
            return "no native backend";
        }
    }

    private static string Processor()
    {
        string cores = string.Create(
            CultureInfo.InvariantCulture, $"{Environment.ProcessorCount} logical {(Environment.ProcessorCount == 1 ? "core" : "cores")}");
        return ProcessorName() is { Length: > 0 } name ? $"{name}, {cores}" : $"{RuntimeInformation.ProcessArchitecture}, {cores}";
    }

    private static string? ProcessorName()
    {
        if (!File.Exists(CpuInfo))
        {
            return null;
        }

        string? line = File.ReadLines(CpuInfo).Take(64).FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal));
        return line is null ? null : line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();
    }
}
