using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>Python's truth, equality and order of values.</summary>
internal static class Comparisons
{
    /// <summary>True if a condition with the value holds.</summary>
    public static bool IsTrue(object? value) => value switch
    {
        null or Undefined => false,
        bool truth => truth,
        BigInteger number => !number.IsZero,
        double number => number != 0,
        string text => text.Length > 0,
        Markup markup => markup.Text.Length > 0,
        JinjaList list => list.Items.Count > 0,
        JinjaTuple tuple => tuple.Items.Count > 0,
        JinjaDict dictionary => dictionary.Items.Count > 0,
        JinjaView view => view.Items.Count > 0,
        JinjaRange range => !range.Count.IsZero,
        _ => true,
    };

    /// <summary>True if two values are equal. Numbers of different types may be.</summary>
    public static bool AreEqual(Rendering run, object? left, object? right)
    {
        run.Step();
        if (CompareNumbers(left, right) is { } order)
        {
            return order == 0;
        }

        run.Enter();
        run.Work((left as string)?.Length ?? 0);
        bool areEqual = (left, right) switch
        {
            (null, null) => true,
            (string a, string b) => a == b,
            (Markup or string, Markup or string) => ValueText.Str(run, left) == ValueText.Str(run, right),
            (JinjaList a, JinjaList b) => AreEqual(run, a.Items, b.Items),
            (JinjaTuple a, JinjaTuple b) => AreEqual(run, a.Items, b.Items),
            (JinjaDict a, JinjaDict b) => AreEqual(run, a, b),
            (JinjaRange a, JinjaRange b) => a.Count == b.Count
                && (a.Count.IsZero || (a.Start == b.Start && (a.Count.IsOne || a.Step == b.Step))),
            (Undefined, Undefined) => true,
            _ => left is not (double or BigInteger or bool or null) && ReferenceEquals(left, right),
        };
        run.Leave();
        return areEqual;
    }

    /// <summary>Orders two numbers, two texts or two sequences.</summary>
    /// <returns>Negative, zero or positive; null if a number is not a number.</returns>
    /// <exception cref="ChatTemplateException">The values have no order.</exception>
    public static int? Order(Rendering run, object? left, object? right)
    {
        run.Step();
        run.Work((left as string)?.Length ?? 0);
        if (CompareNumbers(left, right) is { } order)
        {
            return order == NotANumber ? null : order;
        }

        return (left, right) switch
        {
            (string or Markup, string or Markup) => PythonText.Compare(ValueText.Str(run, left), ValueText.Str(run, right)),
            (JinjaList a, JinjaList b) => Order(run, a.Items, b.Items),
            (JinjaTuple a, JinjaTuple b) => Order(run, a.Items, b.Items),
            (Undefined missing, _) => throw run.Error(missing.Reason),
            (_, Undefined missing) => throw run.Error(missing.Reason),
            _ => throw run.Error($"values of the types {ValueText.TypeOf(left)} and {ValueText.TypeOf(right)} have no order."),
        };
    }

    /// <summary>True if a container holds a value.</summary>
    public static bool Contains(Rendering run, object? container, object? value)
    {
        run.Step();
        run.Work((container as string)?.Length ?? 0);
        run.Work((value as string)?.Length ?? 0);
        switch (container)
        {
            case string or Markup:
                return value switch
                {
                    string or Markup => TextSearch.First(run, ValueText.Str(run, container), ValueText.Str(run, value)) >= 0,
                    Undefined missing => throw run.Error(missing.Reason),
                    _ => throw run.Error($"'in' with a text needs a text on its left, not {ValueText.TypeOf(value)}."),
                };
            case JinjaDict dictionary:
                return value is Undefined ? false
                    : KeyComparer.IsHashable(run, value) ? dictionary.TryGet(value, out _)
                    : throw run.Error($"{ValueText.TypeOf(value)} cannot be the key of a dictionary.");
            default:
                IReadOnlyList<object?> items = Sequences.Iterate(run, container);
                return items.Any(item => AreEqual(run, item, value));
        }
    }

    private const int NotANumber = 2;

    // Null if one of them is no number. Comparisons of int and float are exact, as in Python.
    private static int? CompareNumbers(object? left, object? right)
    {
        object? a = left is bool x ? x ? BigInteger.One : BigInteger.Zero : left;
        object? b = right is bool y ? y ? BigInteger.One : BigInteger.Zero : right;
        return (a, b) switch
        {
            (BigInteger m, BigInteger n) => Math.Sign(m.CompareTo(n)),
            (double m, double n) => double.IsNaN(m) || double.IsNaN(n) ? NotANumber : m.CompareTo(n),
            (BigInteger m, double n) => Compare(m, n),
            (double m, BigInteger n) => Compare(n, m) is var order && order == NotANumber ? order : -order,
            _ => null,
        };
    }

    private static int Compare(BigInteger number, double other)
    {
        if (!double.IsFinite(other))
        {
            return double.IsNaN(other) ? NotANumber : other > 0 ? -1 : 1;
        }

        double floor = Math.Floor(other);
        int order = Math.Sign(number.CompareTo(new BigInteger(floor)));
        return order == 0 && other > floor ? -1 : order;
    }

    private static bool AreEqual(Rendering run, IReadOnlyList<object?> left, IReadOnlyList<object?> right)
    {
        if (left.Count != right.Count)
        {
            return false;
        }

        for (int i = 0; i < left.Count; i++)
        {
            if (!AreEqual(run, left[i], right[i]))
            {
                return false;
            }
        }

        return true;
    }

    private static bool AreEqual(Rendering run, JinjaDict left, JinjaDict right) => left.Items.Count == right.Items.Count
        && left.Items.All(pair => KeyComparer.IsHashable(run, pair.Key) // counts the look-up
            && right.TryGet(pair.Key, out object? value) && AreEqual(run, pair.Value, value));

    private static int? Order(Rendering run, IReadOnlyList<object?> left, IReadOnlyList<object?> right)
    {
        run.Enter();
        int? order = left.Count.CompareTo(right.Count);
        for (int i = 0; i < Math.Min(left.Count, right.Count); i++)
        {
            if (!AreEqual(run, left[i], right[i]))
            {
                order = Order(run, left[i], right[i]);
                break;
            }
        }

        run.Leave();
        return order;
    }
}
