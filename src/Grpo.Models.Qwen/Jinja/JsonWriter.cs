using System.Globalization;
using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>The filter <c>tojson</c>: JSON as Python's <c>json.dumps</c> prints it, without escapes for characters beyond ASCII.</summary>
internal sealed class JsonWriter
{
    private readonly Rendering _run;
    private readonly TextBuilder _text;
    private readonly string? _indent;
    private readonly (string Item, string Key) _separators;
    private readonly (bool Ascii, bool Sorted) _options;

    private JsonWriter(Rendering run, string? indent, (string, string) separators, (bool, bool) options)
    {
        _run = run;
        _text = run.NewText();
        _indent = indent;
        _separators = separators;
        _options = options;
    }

    /// <summary>Applies the filter.</summary>
    public static string Apply(Rendering run, object? value, Arguments arguments)
    {
        object?[] values = arguments.Bind(run, "tojson", "ensure_ascii", "indent", "separators", "sort_keys");
        string? indent = Arguments.Or(values[1], null) switch
        {
            null => null,
            string text => text,
            object width => TextMethods.Justify(run, "", Sequences.Index(run, width), " ", "ljust"),
        };
        (string, string) separators = (indent is null ? ", " : ",", ": ");
        if (Arguments.Or(values[2], null) is { } given)
        {
            IReadOnlyList<object?> pair = Sequences.Iterate(run, given);
            separators = pair is [string item, string key] ? (item, key)
                : throw run.Error("the separators of tojson must be two texts.");
        }

        bool isAscii = Comparisons.IsTrue(Arguments.Or(values[0], false)), isSorted = Comparisons.IsTrue(Arguments.Or(values[3], false));
        var writer = new JsonWriter(run, indent, separators, (isAscii, isSorted));
        writer.Write(value, 0);
        return writer._text.ToString();
    }

    private void Write(object? value, int depth)
    {
        _run.Step();
        _run.Enter();
        switch (value)
        {
            case null or bool or BigInteger or double:
                _text.Append(Scalar(value));
                break;
            case string or Markup:
                Quote(ValueText.Str(_run, value));
                break;
            case JinjaList list:
                Write('[', list.Items, ']', depth, item => Write(item, depth + 1));
                break;
            case JinjaTuple tuple:
                Write('[', tuple.Items, ']', depth, item => Write(item, depth + 1));
                break;
            case JinjaDict dictionary:
                Write('{', Pairs(dictionary), '}', depth, pair =>
                {
                    Quote(Key(pair.Key));
                    _text.Append(_separators.Key);
                    Write(pair.Value, depth + 1);
                });
                break;
            case Undefined missing:
                throw _run.Error($"tojson gets an undefined value: {missing.Reason}");
            default:
                throw _run.Error($"tojson cannot write a value of the type {ValueText.TypeOf(value)}.");
        }

        _run.Leave();
    }

    private IReadOnlyList<KeyValuePair<object?, object?>> Pairs(JinjaDict dictionary) => _options.Sorted
        ? Sorting.Sort(_run, dictionary.Items, pair => pair.Key, isReversed: false)
        : dictionary.Items;

    private void Write<T>(char start, IReadOnlyList<T> items, char end, int depth, Action<T> write)
    {
        _text.Append(start);
        for (int i = 0; i < items.Count; i++)
        {
            _text.Append(i > 0 ? _separators.Item : "");
            NewLine(depth + 1);
            write(items[i]);
        }

        if (items.Count > 0)
        {
            NewLine(depth);
        }

        _text.Append(end);
    }

    private void NewLine(int depth)
    {
        if (_indent is null)
        {
            return;
        }

        _text.Append('\n');
        for (int i = 0; i < depth; i++)
        {
            _text.Append(_indent);
        }
    }

    private static string Scalar(object? value) => value switch
    {
        null => "null",
        bool truth => truth ? "true" : "false",
        BigInteger number => number.ToString(CultureInfo.InvariantCulture),
        double number when double.IsNaN(number) => "NaN",
        double number when double.IsInfinity(number) => number > 0 ? "Infinity" : "-Infinity",
        double number => PythonNumber.Print(number),
        _ => throw new InvalidOperationException($"{value.GetType().Name} is no scalar of JSON."),
    };

    private string Key(object? key) => key switch
    {
        string or Markup => ValueText.Str(_run, key),
        null or bool or BigInteger or double => Scalar(key),
        _ => throw _run.Error($"tojson cannot write a key of the type {ValueText.TypeOf(key)}."),
    };

    private void Quote(string content)
    {
        _text.Append('"');
        foreach (char letter in content)
        {
            _ = letter switch
            {
                '"' => _text.Append("\\\""),
                '\\' => _text.Append(@"\\"),
                '\n' => _text.Append(@"\n"),
                '\r' => _text.Append(@"\r"),
                '\t' => _text.Append(@"\t"),
                '\f' => _text.Append(@"\f"),
                '\b' => _text.Append(@"\b"),
                < ' ' => _text.Append(string.Create(CultureInfo.InvariantCulture, $"\\u{(int)letter:x4}")),
                > '~' when _options.Ascii => _text.Append(string.Create(CultureInfo.InvariantCulture, $"\\u{(int)letter:x4}")),
                _ => _text.Append(letter),
            };
        }

        _text.Append('"');
    }
}
