using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>The attributes and methods of values, as far as Python's sandbox offers them.</summary>
internal static class Members
{
    // The sandbox does not let a template change a list or a dictionary.
    private static readonly HashSet<string> ListChanges =
        new(StringComparer.Ordinal) { "append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove" };

    private static readonly HashSet<string> DictChanges =
        new(StringComparer.Ordinal) { "clear", "pop", "popitem", "setdefault", "update" };

    private static readonly HashSet<string> NumberAttributes = new(StringComparer.Ordinal)
    {
        "real", "imag", "numerator", "denominator", "conjugate", "bit_length", "bit_count", "to_bytes", "from_bytes", "as_integer_ratio",
        "is_integer", "hex", "fromhex",
    };

    /// <summary>Returns <c>value.name</c>: a method or an attribute, else the item of that name.</summary>
    public static object? Attribute(Rendering run, object? value, string name) =>
        TryOwn(run, value, name, out object? found) ? found
        : value is JinjaDict ? Sequences.Item(run, value, name)
        : Missing(value, name);

    /// <summary>Returns <c>value[key]</c>: the item, else the method or attribute of that name.</summary>
    public static object? Item(Rendering run, object? value, object? key)
    {
        if (value is Undefined missing)
        {
            throw run.Error(missing.Reason);
        }

        if (key is not string name)
        {
            return Sequences.Item(run, value, key);
        }

        run.Work(name.Length);
        return value is JinjaDict dictionary && dictionary.TryGet(name, out object? item) ? item
            : TryOwn(run, value, name, out object? found) ? found
            : value is JinjaDict ? Sequences.Item(run, value, name)
            : Missing(value, name);
    }

    private static bool TryOwn(Rendering run, object? value, string name, out object? found)
    {
        found = value switch
        {
            Undefined missing => throw run.Error(missing.Reason),
            string text => TextMethods.Find(text, name),
            Markup => throw run.Error("attributes of escaped text are not supported. Use them before 'escape' or 'safe'."),
            JinjaDict when DictChanges.Contains(name) => Unsafe("dictionary", name),
            JinjaDict dictionary => DictMethod(dictionary, name),
            JinjaList when ListChanges.Contains(name) => Unsafe("list", name),
            JinjaList list => name == "copy" ? new Function(name, (_, _) => list) : SequenceMethod(list.Items, name),
            JinjaTuple tuple => SequenceMethod(tuple.Items, name),
            JinjaRange range => name switch { "start" => range.Start, "stop" => range.Stop, "step" => range.Step, _ => null },
            Cycler cycler => cycler.Find(name),
            bool or BigInteger or double when NumberAttributes.Contains(name) =>
                throw run.Error($"the attribute '{name}' of a number is not supported."),
            _ => null,
        };
        if (value is LoopState loop)
        {
            found = loop.Get(name);
            return true;
        }

        return found is not null || (value is JinjaNamespace space && space.Attributes.TryGet(name, out found));
    }

    private static Function? DictMethod(JinjaDict dictionary, string name) => name switch
    {
        "get" => new Function(name, (run, arguments) =>
        {
            object?[] values = arguments.Bind(run, "get", "key", "default");
            object? key = Arguments.Require(run, "get", "key", values[0]);
            object? otherwise = Arguments.Or(values[1], null);
            return key is Undefined ? otherwise
                : !KeyComparer.IsHashable(run, key) ? throw run.Error($"{ValueText.TypeOf(key)} cannot be the key of a dictionary.")
                : dictionary.TryGet(key, out object? value) ? value
                : otherwise;
        }),
        "items" => View(dictionary, name, pair => new JinjaTuple([pair.Key, pair.Value])),
        "keys" => View(dictionary, name, pair => pair.Key),
        "values" => View(dictionary, name, pair => pair.Value),
        "copy" => new Function(name, (_, _) => dictionary),
        "fromkeys" => new Function(name, (run, _) => throw run.Error("the method 'fromkeys' of a dictionary is not supported.")),
        _ => null,
    };

    private static Function View(JinjaDict dictionary, string name, Func<KeyValuePair<object?, object?>, object?> select) =>
        new(name, (run, arguments) =>
        {
            arguments.Bind(run, name);
            run.Charge(24L * dictionary.Items.Count);
            return new JinjaView($"dict_{name}", [.. dictionary.Items.Select(select)]);
        });

    private static Function? SequenceMethod(IReadOnlyList<object?> items, string name) => name switch
    {
        "count" => new Function(name, (run, arguments) =>
        {
            object? wanted = Arguments.Require(run, name, "value", arguments.Bind(run, name, "value")[0]);
            return new BigInteger(items.Count(item => Comparisons.AreEqual(run, item, wanted)));
        }),
        "index" => new Function(name, (run, arguments) =>
        {
            object? wanted = Arguments.Require(run, name, "value", arguments.Bind(run, name, "value")[0]);
            for (int i = 0; i < items.Count; i++)
            {
                if (Comparisons.AreEqual(run, items[i], wanted))
                {
                    return new BigInteger(i);
                }
            }

            throw run.Error("the list does not hold the value whose index is asked for.");
        }),
        _ => null,
    };

    private static Undefined Missing(object? value, string name) => new(
        $"a value of the type {ValueText.TypeOf(value)} has no attribute '{(name.Length <= 60 ? name : name[..60] + "…")}'.");

    private static Undefined Unsafe(string type, string name) =>
        new($"the method '{name}' would change a {type}, which a template must not. Build a new one with '+', or use a namespace.");
}
