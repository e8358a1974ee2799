namespace Grpo.Models.Qwen.Jinja;

/// <summary>The values of a call's arguments.</summary>
/// <param name="Positional">The arguments without a name.</param>
/// <param name="Keywords">The arguments with a name.</param>
internal sealed record Arguments(IReadOnlyList<object?> Positional, IReadOnlyList<KeyValuePair<string, object?>> Keywords)
{
    /// <summary>No arguments.</summary>
    public static Arguments None { get; } = new([], []);

    /// <summary>The value of a parameter that was not given.</summary>
    public static object Missing { get; } = new();

    /// <summary>Assigns the arguments to parameters.</summary>
    /// <param name="run">The rendering.</param>
    /// <param name="what">The callable, for error messages.</param>
    /// <param name="parameters">The names of the parameters.</param>
    /// <returns>A value per parameter, or <see cref="Missing"/>.</returns>
    public object?[] Bind(Rendering run, string what, params ReadOnlySpan<string> parameters)
    {
        if (Positional.Count > parameters.Length)
        {
            throw run.Error($"{what} takes {parameters.Length} arguments at most, not {Positional.Count}.");
        }

        var values = new object?[parameters.Length];
        Array.Fill(values, Missing);
        for (int i = 0; i < Positional.Count; i++)
        {
            values[i] = Positional[i];
        }

        foreach ((string name, object? value) in Keywords)
        {
            int place = parameters.IndexOf(name);
            if (place < 0 || !ReferenceEquals(values[place], Missing))
            {
                throw run.Error(
                    place < 0 ? $"{what} has no parameter '{Shorten(name)}'." : $"{what} gets the argument '{Shorten(name)}' twice.");
            }

            values[place] = value;
        }

        return values;
    }

    private static string Shorten(string name) => name.Length <= 60 ? name : name[..60] + "…";

    /// <summary>Returns the value of a parameter, or its default if it was not given.</summary>
    public static object? Or(object? value, object? otherwise) => ReferenceEquals(value, Missing) ? otherwise : value;

    /// <summary>Returns the value of a parameter that has no default.</summary>
    public static object? Require(Rendering run, string what, string parameter, object? value) => !ReferenceEquals(value, Missing)
        ? value
        : throw run.Error($"{what} needs the argument '{parameter}'.");
}
