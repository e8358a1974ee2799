using Grpo.Optimization;

namespace Grpo.Callbacks;

/// <summary>What a recorded step was made with.</summary>
public sealed record FlightSettings
{
    private const string Path = "GrpoOptions.";

    /// <summary>The options by name, "GrpoOptions.Sampling.Temperature", as texts that keep every bit of a number; null for an option that is null.</summary>
    public required IReadOnlyDictionary<string, string?> Options { get; init; }

    /// <summary>What the application wanted to be told later, such as the name of the model.</summary>
    public required IReadOnlyDictionary<string, string> About { get; init; }

    /// <summary>The options as an object.</summary>
    /// <exception cref="InvalidOperationException">
    /// An option cannot be made from its text: an objective or advantage function of your own, or an option of another version. Give
    /// <see cref="FlightReplay"/> the options of the run instead.
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

    internal static FlightSettings Of(GrpoOptions options, IReadOnlyDictionary<string, string> about) =>
        new() { Options = new Dictionary<string, string?>(OptionText.Of(options, Path)), About = about };

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
