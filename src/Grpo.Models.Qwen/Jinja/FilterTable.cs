namespace Grpo.Models.Qwen.Jinja;

/// <summary>The filters behind <c>|</c>.</summary>
internal static class FilterTable
{
    private static readonly Dictionary<string, Func<Rendering, object?, Arguments, object?>> Table = new(StringComparer.Ordinal)
    {
        ["tojson"] = JsonWriter.Apply,
        ["string"] = (run, value, a) => None(run, a, "string", value is Markup ? value : ValueText.Str(run, value)),
        ["trim"] = TextFilters.Trim,
        ["upper"] = (run, value, a) => None(run, a, "upper", CaseMapping.Upper(run, ValueText.Str(run, value))),
        ["lower"] = (run, value, a) => None(run, a, "lower", CaseMapping.Lower(run, ValueText.Str(run, value))),
        ["capitalize"] = (run, value, a) => None(run, a, "capitalize", CaseMapping.Capitalize(run, ValueText.Str(run, value))),
        ["title"] = TextFilters.Title,
        ["replace"] = TextFilters.Replace,
        ["indent"] = TextFilters.Indent,
        ["center"] = TextFilters.Center,
        ["format"] = TextFilters.Format,
        ["join"] = TextFilters.Join,
        ["escape"] = (run, value, a) => None(run, a, "escape", new Markup(Html.Escaped(run, value))),
        ["e"] = (run, value, a) => None(run, a, "e", new Markup(Html.Escaped(run, value))),
        ["forceescape"] = (run, value, a) => None(run, a, "forceescape", new Markup(Html.Escaped(run, ValueText.Str(run, value)))),
        ["safe"] = (run, value, a) => None(run, a, "safe", new Markup(ValueText.Str(run, value))),
        ["default"] = SequenceFilters.Default,
        ["d"] = SequenceFilters.Default,
        ["length"] = SequenceFilters.Length,
        ["count"] = SequenceFilters.Length,
        ["first"] = SequenceFilters.First,
        ["last"] = SequenceFilters.Last,
        ["list"] = (run, value, a) => None(run, a, "list", run.List(Sequences.Iterate(run, value))),
        ["items"] = SequenceFilters.Items,
        ["reverse"] = SequenceFilters.Reverse,
        ["batch"] = SequenceFilters.Batch,
        ["attr"] = SequenceFilters.Attr,
        ["sort"] = OrderFilters.Sort,
        ["dictsort"] = OrderFilters.DictSort,
        ["unique"] = OrderFilters.Unique,
        ["min"] = (run, value, a) => OrderFilters.Extreme(run, value, a, isMaximum: false),
        ["max"] = (run, value, a) => OrderFilters.Extreme(run, value, a, isMaximum: true),
        ["map"] = SelectFilters.Map,
        ["select"] = (run, value, a) => SelectFilters.Select(run, value, a, keeps: true, byAttribute: false),
        ["reject"] = (run, value, a) => SelectFilters.Select(run, value, a, keeps: false, byAttribute: false),
        ["selectattr"] = (run, value, a) => SelectFilters.Select(run, value, a, keeps: true, byAttribute: true),
        ["rejectattr"] = (run, value, a) => SelectFilters.Select(run, value, a, keeps: false, byAttribute: true),
        ["int"] = NumberFilters.Int,
        ["float"] = NumberFilters.Float,
        ["abs"] = NumberFilters.Abs,
        ["round"] = NumberFilters.Round,
        ["sum"] = NumberFilters.Sum,
    };

    /// <summary>The names of the filters, for error messages.</summary>
    public static string Names => string.Join(", ", Table.Keys.Order(StringComparer.Ordinal));

    /// <summary>True if there is a filter of the name.</summary>
    public static bool Contains(string name) => Table.ContainsKey(name);

    /// <summary>Applies a filter.</summary>
    public static object? Apply(Rendering run, string name, object? value, Arguments arguments)
    {
        run.Work((value as string)?.Length ?? 0);
        return Table.TryGetValue(name, out Func<Rendering, object?, Arguments, object?>? filter)
            ? filter(run, value, arguments)
            : throw run.Error($"the filter '{(name.Length <= 60 ? name : name[..60] + "…")}' is not supported.");
    }

    private static object? None(Rendering run, Arguments arguments, string name, object? result)
    {
        arguments.Bind(run, name);
        return result;
    }
}
