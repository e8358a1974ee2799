using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>The functions that every template has.</summary>
internal static class Globals
{
    /// <summary>Assigns the functions to variables.</summary>
    public static void AddTo(Scope scope)
    {
        scope.Set("range", new Function("range", Range));
        scope.Set("dict", new Function("dict", Dict));
        scope.Set("namespace", new Function("namespace", Namespace));
        scope.Set("cycler", new Function("cycler", (run, arguments) => arguments.Positional.Count > 0
            ? new Cycler(arguments.Positional) : throw run.Error("cycler needs a value.")));
        scope.Set("joiner", new Function("joiner", (run, arguments) => new Joiner(
            ValueText.Str(run, Arguments.Or(arguments.Bind(run, "joiner", "sep")[0], ", ")))));
        scope.Set("raise_exception", new Function("raise_exception", RaiseException));
        scope.Set("strftime_now", new Function("strftime_now", (run, arguments) => DateFormat.Now(run, TextMethods.Require(
            run, "strftime_now", Arguments.Require(run, "strftime_now", "format", arguments.Bind(run, "strftime_now", "format")[0])))));
    }

    private static object RaiseException(Rendering run, Arguments arguments)
    {
        object? message = Arguments.Require(run, "raise_exception", "message", arguments.Bind(run, "raise_exception", "message")[0]);
        string text = ValueText.Str(run, message);
        throw run.Error($"the template refuses the conversation: {(text.Length <= 1000 ? text : text[..1000] + "…")}");
    }

    private static JinjaRange Range(Rendering run, Arguments arguments)
    {
        IReadOnlyList<object?> values = arguments.Positional;
        if (values.Count is 0 or > 3 || arguments.Keywords.Count > 0)
        {
            throw run.Error("range takes one to three whole numbers.");
        }

        BigInteger[] numbers = [.. values.Select(value => Sequences.Index(run, value))];
        var range = numbers.Length == 1
            ? new JinjaRange(0, numbers[0], 1)
            : new JinjaRange(numbers[0], numbers[1], numbers.Length == 3 ? numbers[2] : 1);
        return range.Step.IsZero ? throw run.Error("the step of a range is 0.")
            : range.Count > JinjaLimits.Range ? throw run.Error($"a range has more than {JinjaLimits.Range} numbers, which is the limit.")
            : range;
    }

    private static JinjaDict Dict(Rendering run, Arguments arguments)
    {
        var dictionary = new JinjaDict();
        Fill(run, dictionary, arguments, "dict");
        return dictionary;
    }

    private static JinjaNamespace Namespace(Rendering run, Arguments arguments)
    {
        var space = new JinjaNamespace();
        Fill(run, space.Attributes, arguments, "namespace");
        return space;
    }

    private static void Fill(Rendering run, JinjaDict dictionary, Arguments arguments, string name)
    {
        if (arguments.Positional.Count > 1)
        {
            throw run.Error($"{name} takes one argument without a name at most.");
        }

        foreach (object? source in arguments.Positional)
        {
            foreach ((object? key, object? value) in source is JinjaDict other ? other.Items : Pairs(run, source, name))
            {
                run.Charge(16);
                if (!KeyComparer.IsHashable(run, key))
                {
                    throw run.Error($"{name} needs pairs of a key and a value.");
                }

                dictionary.Set(key, value);
            }
        }

        foreach ((string key, object? value) in arguments.Keywords)
        {
            run.Charge(16);
            run.Work(key.Length);
            dictionary.Set(key, value);
        }
    }

    private static IEnumerable<KeyValuePair<object?, object?>> Pairs(Rendering run, object? source, string name)
    {
        foreach (object? item in Sequences.Iterate(run, source))
        {
            IReadOnlyList<object?> pair = Sequences.Iterate(run, item);
            yield return pair.Count == 2
                ? new(pair[0], pair[1])
                : throw run.Error($"{name} needs pairs of a key and a value.");
        }
    }
}

/// <summary>Goes through values again and again: <c>cycler</c>.</summary>
internal sealed class Cycler(IReadOnlyList<object?> items)
{
    private int _position;

    /// <summary>Returns a method or an attribute; null if there is none of the name.</summary>
    public object? Find(string name) => name switch
    {
        "current" => items[_position] ?? new Undefined("the current value of the cycler is none."),
        "next" => new Function("next", (_, _) =>
        {
            object? item = items[_position];
            _position = (_position + 1) % items.Count;
            return item;
        }),
        "reset" => new Function("reset", (_, _) =>
        {
            _position = 0;
            return null;
        }),
        _ => null,
    };
}

/// <summary>Returns nothing at its first call, and a separator at all others: <c>joiner</c>.</summary>
internal sealed class Joiner(string separator) : Callable("joiner")
{
    private bool _isUsed;

    public override object Invoke(Rendering run, Arguments arguments)
    {
        string text = _isUsed ? separator : "";
        _isUsed = true;
        return text;
    }
}
