using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>Elements, items and slices of values.</summary>
internal static class Sequences
{
    /// <summary>Returns the elements that a loop visits: the code points of a text, the keys of a dictionary.</summary>
    /// <exception cref="ChatTemplateException">The value has no elements.</exception>
    public static IReadOnlyList<object?> Iterate(Rendering run, object? value)
    {
        switch (value)
        {
            case JinjaList list:
                return list.Items;
            case JinjaTuple tuple:
                return tuple.Items;
            case JinjaView view:
                return view.Items;
            case JinjaDict dictionary:
                run.Charge(8L * dictionary.Items.Count);
                return [.. dictionary.Items.Select(pair => pair.Key)];
            case JinjaRange range:
                run.Charge((20 + (Math.Max(range.Start.GetBitLength(), range.Stop.GetBitLength()) / 16)) * (long)range.Count);
                return range.Items();
            case JinjaIterator iterator:
                return iterator.TakeAll();
            case string or Markup:
                string text = ValueText.Str(run, value);
                run.Charge(20L * text.Length);
                return PythonText.CodePoints(text);
            case Undefined:
                return [];
            default:
                throw run.Error($"a value of the type {ValueText.TypeOf(value)} has no elements.");
        }
    }

    /// <summary>True if a loop can visit the elements of a value.</summary>
    public static bool IsIterable(object? value) => value is JinjaList or JinjaTuple or JinjaView or JinjaDict or JinjaRange
        or JinjaIterator or string or Markup or Undefined;

    /// <summary>Returns the number of elements; null if the value has none.</summary>
    public static int? Count(object? value) => value switch
    {
        string text => PythonText.Length(text),
        Markup markup => PythonText.Length(markup.Text),
        JinjaList list => list.Items.Count,
        JinjaTuple tuple => tuple.Items.Count,
        JinjaView view => view.Items.Count,
        JinjaDict dictionary => dictionary.Items.Count,
        JinjaRange range => (int)range.Count,
        LoopState loop => loop.Count,
        Undefined => 0,
        _ => null,
    };

    /// <summary>Returns <c>value[key]</c> without the fall back to an attribute. An item that is missing is undefined.</summary>
    public static object? Item(Rendering run, object? value, object? key)
    {
        run.Work((value as string)?.Length ?? 0);
        run.Work((key as string)?.Length ?? 0);
        if (value is JinjaDict dictionary)
        {
            return KeyComparer.IsHashable(run, key) && dictionary.TryGet(key, out object? found)
                ? found
                : Missing(run, value, key);
        }

        if (value is not (JinjaList or JinjaTuple or string or Markup or JinjaRange)
            || (key is bool truth ? truth ? 1 : 0 : key as BigInteger?) is not { } index)
        {
            return Missing(run, value, key);
        }

        if (value is string or Markup)
        {
            string text = ValueText.Str(run, value);
            (int start, int length) = Locate(text, index);
            return length == 0 ? Missing(run, value, key) : run.Text(text.Substring(start, length));
        }

        BigInteger count = Count(value)!.Value, place = index.Sign < 0 ? index + count : index;
        return place.Sign < 0 || place >= count ? Missing(run, value, key)
            : value is JinjaRange range ? range.Start + (place * range.Step)
            : (value as JinjaList)?.Items[(int)place] ?? (value as JinjaTuple)?.Items[(int)place];
    }

    /// <summary>Returns <c>value[start:stop:step]</c>.</summary>
    public static object? Slice(Rendering run, object? value, object? start, object? stop, object? step)
    {
        if (value is Undefined missing)
        {
            throw run.Error(missing.Reason);
        }

        run.Work((value as string)?.Length ?? 0);
        BigInteger stride = step is null ? BigInteger.One : Index(run, step);
        object? from = start is null ? null : Index(run, start), to = stop is null ? null : Index(run, stop);
        if (value is string or Markup && stride.IsOne && IsAscii(ValueText.Str(run, value)))
        {
            string text = ValueText.Str(run, value);
            (int first, int last) = ((int)Bound(from, text.Length, 0), (int)Bound(to, text.Length, text.Length));
            return first < last ? run.Text(text[first..last]) : "";
        }

        if (value is not (string or Markup or JinjaList or JinjaTuple or JinjaRange))
        {
            return Missing(run, value, "a slice");
        }

        if (stride.IsZero)
        {
            throw run.Error("the step of a slice is 0.");
        }

        if (value is JinjaRange range)
        {
            return Slice(range, from, to, stride);
        }

        List<object?> items = Pick(run, Iterate(run, value), from, to, stride);
        return value switch
        {
            string or Markup => run.Text(string.Concat(items.Cast<string>())),
            JinjaTuple => new JinjaTuple(items),
            _ => run.List(items),
        };
    }

    private static JinjaRange Slice(JinjaRange range, object? from, object? to, BigInteger stride)
    {
        int count = (int)range.Count;
        BigInteger first = stride.Sign > 0 ? Bound(from, count, 0) : Last(from, count, count - 1);
        BigInteger end = stride.Sign > 0 ? Bound(to, count, count) : Last(to, count, -1);
        return new JinjaRange(range.Start + (first * range.Step), range.Start + (end * range.Step), range.Step * stride);
    }

    private static List<object?> Pick(Rendering run, IReadOnlyList<object?> all, object? from, object? to, BigInteger stride)
    {
        bool isForward = stride.Sign > 0;
        int count = all.Count;
        BigInteger first = isForward ? Bound(from, count, 0) : Last(from, count, count - 1);
        BigInteger end = isForward ? Bound(to, count, count) : Last(to, count, -1);
        var items = new List<object?>();
        for (BigInteger i = first; isForward ? i < end : i > end; i += stride)
        {
            run.Step();
            run.Charge(8);
            items.Add(all[(int)i]);
        }

        return items;
    }

    private static BigInteger Bound(object? index, int count, int otherwise) => index is not BigInteger place ? otherwise
        : BigInteger.Clamp(place.Sign < 0 ? place + count : place, 0, count);

    private static BigInteger Last(object? index, int count, int otherwise) => index is not BigInteger place ? otherwise
        : BigInteger.Clamp(place.Sign < 0 ? place + count : place, -1, count - 1);

    /// <summary>Requires a whole number.</summary>
    public static BigInteger Index(Rendering run, object? value) => value switch
    {
        BigInteger number => number,
        bool truth => truth ? BigInteger.One : BigInteger.Zero,
        Undefined missing => throw run.Error(missing.Reason),
        _ => throw run.Error($"a whole number is needed, not {ValueText.TypeOf(value)}."),
    };

    private static bool IsAscii(string text) => System.Text.Ascii.IsValid(text);

    // The code units of a code point. A length of 0 says that there is none.
    private static (int Start, int Length) Locate(string text, BigInteger index)
    {
        BigInteger place = index.Sign < 0 ? index + PythonText.Length(text) : index;
        if (place.Sign < 0 || place >= text.Length)
        {
            return (0, 0);
        }

        int start = 0;
        for (int left = (int)place; left > 0 && start < text.Length; left--)
        {
            start += start + 1 < text.Length && char.IsSurrogatePair(text[start], text[start + 1]) ? 2 : 1;
        }

        int length = start >= text.Length ? 0 : start + 1 < text.Length && char.IsSurrogatePair(text[start], text[start + 1]) ? 2 : 1;
        return (start, length);
    }

    private static Undefined Missing(Rendering run, object? value, object? key) => value is Undefined missing
        ? throw run.Error(missing.Reason)
        : new Undefined($"a value of the type {ValueText.TypeOf(value)} has no element {Shown(run, key)}.");

    private static string Shown(Rendering run, object? key) => key switch
    {
        string text => $"'{(text.Length <= 60 ? text : text[..60] + "…")}'",
        BigInteger or bool or double or null => ValueText.Str(run, key),
        _ => $"with a key of the type {ValueText.TypeOf(key)}",
    };
}
