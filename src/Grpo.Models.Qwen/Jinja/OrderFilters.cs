namespace Grpo.Models.Qwen.Jinja;

/// <summary>The filters that compare elements. Texts compare without regard to case, unless <c>case_sensitive</c> is true.</summary>
internal static class OrderFilters
{
    public static object Sort(Rendering run, object? value, Arguments arguments)
    {
        object?[] values = arguments.Bind(run, "sort", "reverse", "case_sensitive", "attribute");
        object? attribute = Arguments.Or(values[2], null);
        bool isSensitive = Comparisons.IsTrue(Arguments.Or(values[1], false));
        string[]? paths = attribute is string text ? text.Split(',') : null;
        Func<object?, object?> key = paths is { Length: > 1 }
            ? item => new JinjaList([.. paths.Select(path => Key(run, item, path, isSensitive))])
            : item => Key(run, item, attribute, isSensitive);
        return run.List(Sorting.Sort(
            run, Sequences.Iterate(run, value), key, isReversed: Comparisons.IsTrue(Arguments.Or(values[0], false))));
    }

    public static object DictSort(Rendering run, object? value, Arguments arguments)
    {
        object?[] values = arguments.Bind(run, "dictsort", "case_sensitive", "by", "reverse");
        bool isSensitive = Comparisons.IsTrue(Arguments.Or(values[0], false));
        if (Arguments.Or(values[1], "key") is not ("key" or "value"))
        {
            throw run.Error("'dictsort' sorts by \"key\" or by \"value\".");
        }

        bool byValue = Arguments.Or(values[1], "key") is "value";
        if (value is not JinjaDict dictionary)
        {
            throw run.Error($"'dictsort' needs a dictionary, not {ValueText.TypeOf(value)}.");
        }

        List<KeyValuePair<object?, object?>> pairs = Sorting.Sort(
            run, dictionary.Items, pair => Key(run, byValue ? pair.Value : pair.Key, null, isSensitive),
            isReversed: Comparisons.IsTrue(Arguments.Or(values[2], false)));
        return run.List([.. pairs.Select(pair => new JinjaTuple([pair.Key, pair.Value]))]);
    }

    public static object Unique(Rendering run, object? value, Arguments arguments)
    {
        object?[] values = arguments.Bind(run, "unique", "case_sensitive", "attribute");
        bool isSensitive = Comparisons.IsTrue(Arguments.Or(values[0], false));
        var seen = new JinjaDict();
        var kept = new List<object?>();
        foreach (object? item in Sequences.Iterate(run, value))
        {
            run.Step();
            object? key = Key(run, item, Arguments.Or(values[1], null), isSensitive);
            if (!KeyComparer.IsHashable(run, key))
            {
                throw run.Error($"'unique' does not work with the type {ValueText.TypeOf(key)}.");
            }

            if (!seen.TryGet(key, out _))
            {
                run.Charge(24);
                seen.Set(key, null);
                kept.Add(item);
            }
        }

        return new JinjaIterator(kept);
    }

    public static object? Extreme(Rendering run, object? value, Arguments arguments, bool isMaximum)
    {
        object?[] values = arguments.Bind(run, isMaximum ? "max" : "min", "case_sensitive", "attribute");
        bool isSensitive = Comparisons.IsTrue(Arguments.Or(values[0], false));
        object? attribute = Arguments.Or(values[1], null);
        IReadOnlyList<object?> items = Sequences.Iterate(run, value);
        if (items.Count == 0)
        {
            return new Undefined("there is no smallest or largest item; the sequence is empty.");
        }

        (object? best, object? bestKey) = (items[0], Key(run, items[0], attribute, isSensitive));
        foreach (object? item in items.Skip(1))
        {
            object? key = Key(run, item, attribute, isSensitive);
            int? order = Comparisons.Order(run, key, bestKey);
            if (isMaximum ? order > 0 : order < 0)
            {
                (best, bestKey) = (item, key);
            }
        }

        return best;
    }

    private static object? Key(Rendering run, object? item, object? attribute, bool isSensitive)
    {
        object? key = SelectFilters.Path(run, item, attribute);
        return key is string text && !isSensitive ? CaseMapping.Lower(run, text) : key;
    }
}
