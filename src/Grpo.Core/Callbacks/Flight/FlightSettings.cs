using Grpo.Optimization;

namespace Grpo.Callbacks;

/// <summary>The settings of a recorded run: its options and facts about it.</summary>
public sealed record FlightSettings
{
    private const string Path = "GrpoOptions.";

    /// <summary>
    /// The options by name, such as "GrpoOptions.Sampling.Temperature", as texts that keep every bit of a number. Null for
    /// an option that is null.
    /// </summary>
    public required IReadOnlyDictionary<string, string?> Options { get; init; }

    /// <summary>The facts that the application recorded for later, such as the name of the model.</summary>
    public required IReadOnlyDictionary<string, string> About { get; init; }

    /// <summary>Creates the options of the run from their texts.</summary>
    /// <exception cref="InvalidOperationException">
    /// An option cannot be created from its text, because it is a custom objective or advantage function, or comes from another version.
    /// Give <see cref="FlightReplay"/> the options of the run instead.
    /// </exception>
    public GrpoOptions ToOptions()
    {
        var options = new GrpoOptions();
        try
        {
            OptionText.Apply(options, Path, Options);
        }
        catch (FormatException exception)
        {
            throw new InvalidOperationException($"{exception.Message} Give the options of the run to the replay instead.", exception);
        }

        return options;
    }

    internal static FlightSettings From(GrpoOptions options, IReadOnlyDictionary<string, string> about) =>
        new() { Options = new Dictionary<string, string?>(OptionText.From(options, Path)), About = about };

    internal void Write(FlightWriter writer)
    {
        writer.Count(Options.Count);
        foreach ((string name, string? text) in Options.OrderBy(option => option.Key, StringComparer.Ordinal))
        {
            writer.Text(name);
            writer.Optional(text);
        }

        writer.Count(About.Count);
        foreach ((string name, string text) in About.OrderBy(entry => entry.Key, StringComparer.Ordinal))
        {
            writer.Text(name);
            writer.Text(text);
        }
    }

    internal static FlightSettings Read(ref FlightReader reader)
    {
        var options = new Dictionary<string, string?>(StringComparer.Ordinal);
        for (int left = reader.Count(2); left > 0; left--)
        {
            string name = reader.Text();
            options[name] = reader.OptionalText();
        }

        var about = new Dictionary<string, string>(StringComparer.Ordinal);
        for (int left = reader.Count(2); left > 0; left--)
        {
            string name = reader.Text();
            about[name] = reader.Text();
        }

        return new FlightSettings { Options = options, About = about };
    }
}
