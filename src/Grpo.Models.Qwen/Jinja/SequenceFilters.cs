using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>The filters that read the elements of a value.</summary>
internal static class SequenceFilters
{
    public static object? Default(Rendering run, object? value, Arguments arguments)
    {
        object?[] values = arguments.Bind(run, "default", "default_value", "boolean");
        bool isFalseReplaced = Comparisons.IsTrue(Arguments.Or(values[1], false));
        return value is Undefined || (isFalseReplaced && !Comparisons.IsTrue(value)) ? Arguments.Or(values[0], "") : value;
    }

    public static object Length(Rendering run, object? value, Arguments arguments)
    {
        arguments.Bind(run, "length");
        return Sequences.Count(value) is { } count
            ? new BigInteger(count)
            : throw run.Error($"a value of the type {ValueText.TypeOf(value)} has no length.");
    }

    public static object? First(Rendering run, object? value, Arguments arguments)
    {
        arguments.Bind(run, "first");
        if (value is JinjaIterator iterator)
        {
            return iterator.TryTake(out object? item) ? item : Empty("first");
        }

        IReadOnlyList<object?> items = Sequences.Iterate(run, value);
        return items.Count > 0 ? items[0] : Empty("first");
    }

    public static object? Last(Rendering run, object? value, Arguments arguments)
    {
        arguments.Bind(run, "last");
        IReadOnlyList<object?> items = value is JinjaIterator
            ? throw run.Error("'last' needs a list, not the result of a filter. Use 'list' before.")
            : Sequences.Iterate(run, value);
        return items.Count > 0 ? items[^1] : Empty("last");
    }

    public static object Items(Rendering run, object? value, Arguments arguments)
    {
        arguments.Bind(run, "items");
        IReadOnlyList<KeyValuePair<object?, object?>> pairs = value switch
        {
            JinjaDict dictionary => dictionary.Items,
            Undefined => [],
            _ => throw run.Error($"'items' needs a dictionary, not {ValueText.TypeOf(value)}."),
        };
        run.Charge(24L * pairs.Count);
        return new JinjaIterator([.. pairs.Select(pair => new JinjaTuple([pair.Key, pair.Value]))]);
    }

    public static object Reverse(Rendering run, object? value, Arguments arguments)
    {
        arguments.Bind(run, "reverse");
        IReadOnlyList<object?> items = Sequences.Iterate(run, value);
        run.Charge(8L * items.Count);
        List<object?> reversed = [.. items.Reverse()];
        return value is string or Markup ? run.Text(string.Concat(reversed.Cast<string>()))
            : value is JinjaIterator ? new JinjaList(reversed)
            : new JinjaIterator(reversed);
    }

    public static object Batch(Rendering run, object? value, Arguments arguments)
    {
        object?[] values = arguments.Bind(run, "batch", "linecount", "fill_with");
        BigInteger size = Sequences.Index(run, Arguments.Require(run, "batch", "linecount", values[0]));
        object? fill = Arguments.Or(values[1], null);
        if (size.Sign <= 0)
        {
            throw run.Error($"'batch' needs a size of 1 or more, not {size}.");
        }

        IReadOnlyList<object?> items = Sequences.Iterate(run, value);
        var batches = new List<object?>();
        int each = (int)BigInteger.Min(size, JinjaLimits.Range);
        for (int start = 0; start < items.Count; start += each)
        {
            run.Charge(8L * each);
            List<object?> batch = [.. items.Skip(start).Take(each)];
            while (fill is not null && batch.Count < each)
            {
                batch.Add(fill);
            }

            batches.Add(new JinjaList(batch));
        }

        return new JinjaIterator(batches);
    }

    // Only attributes and methods, never the items of a dictionary.
    public static object? Attr(Rendering run, object? value, Arguments arguments)
    {
        string name = TextMethods.Require(run, "attr", Arguments.Require(run, "attr", "name", arguments.Bind(run, "attr", "name")[0]));
        run.Charge(name.Length);
        return value is JinjaDict dictionary && dictionary.TryGet(name, out _)
            ? new Undefined($"a dictionary has no attribute '{name}'; its items are read with '[…]'.")
            : Members.Attribute(run, value, name);
    }

    private static Undefined Empty(string which) => new($"there is no {which} item; the sequence is empty.");
}
