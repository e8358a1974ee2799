using System.Globalization;
using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>The filters that map elements, or keep some of them.</summary>
internal static class SelectFilters
{
    /// <summary>Returns an attribute of each element, or the result of another filter.</summary>
    public static object Map(Rendering run, object? value, Arguments arguments)
    {
        if (!Comparisons.IsTrue(value))
        {
            return new JinjaIterator([]);
        }

        Func<object?, object?> map;
        if (arguments.Positional.Count == 0 && arguments.Keywords.Any(pair => pair.Key == "attribute"))
        {
            object?[] values = arguments.Bind(run, "map", "attribute", "default");
            object? otherwise = Arguments.Or(values[1], null);
            map = item => Path(run, item, values[0]) is var found && found is Undefined && otherwise is not null ? otherwise : found;
        }
        else
        {
            string name = arguments.Positional.Count > 0
                ? TextMethods.Require(run, "map", arguments.Positional[0])
                : throw run.Error("'map' needs the name of a filter, or an attribute.");
            var rest = new Arguments([.. arguments.Positional.Skip(1)], arguments.Keywords);
            map = item => FilterTable.Apply(run, name, item, rest);
        }

        return Collect(run, value, (item, kept) => kept.Add(map(item)));
    }

    /// <summary>Keeps or drops elements that pass a test, or whose attribute does.</summary>
    public static object Select(Rendering run, object? value, Arguments arguments, bool keeps, bool byAttribute)
    {
        if (!Comparisons.IsTrue(value))
        {
            return new JinjaIterator([]);
        }

        int place = byAttribute ? 1 : 0;
        object? attribute = !byAttribute ? null
            : arguments.Positional.Count > 0 ? arguments.Positional[0]
            : throw run.Error("'selectattr' and 'rejectattr' need the name of an attribute.");
        string? test = place < arguments.Positional.Count
            ? TextMethods.Require(run, "the name of a test", arguments.Positional[place])
            : null;
        var rest = new Arguments([.. arguments.Positional.Skip(place + 1)], arguments.Keywords);
        return Collect(run, value, (item, kept) =>
        {
            object? tested = byAttribute ? Path(run, item, attribute) : item;
            if ((test is null ? Comparisons.IsTrue(tested) : TestTable.Apply(run, test, tested, rest)) == keeps)
            {
                kept.Add(item);
            }
        });
    }

    /// <summary>Returns an item of an item: <c>"a.b.0"</c>. A part of digits is a number.</summary>
    public static object? Path(Rendering run, object? item, object? attribute)
    {
        if (attribute is not string path)
        {
            return attribute is null ? item : Members.Item(run, item, attribute);
        }

        foreach (string part in path.Split('.'))
        {
            run.Step();
            run.Charge(32);
            object key = part.Length is > 0 and < 10 && part.All(char.IsAsciiDigit)
                ? BigInteger.Parse(part, CultureInfo.InvariantCulture)
                : part;
            item = Members.Item(run, item, key);
        }

        return item;
    }

    private static JinjaIterator Collect(Rendering run, object? value, Action<object?, List<object?>> collect)
    {
        var kept = new List<object?>();
        run.Enter();
        foreach (object? item in Sequences.Iterate(run, value))
        {
            run.Step();
            run.Charge(8);
            collect(item, kept);
        }

        run.Leave();
        return new JinjaIterator(kept);
    }
}
