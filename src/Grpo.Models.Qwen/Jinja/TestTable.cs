using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>The tests behind <c>is</c>.</summary>
internal static class TestTable
{
    private static readonly Dictionary<string, Func<Rendering, object?, bool>> Plain = new(StringComparer.Ordinal)
    {
        ["defined"] = (_, value) => value is not Undefined,
        ["undefined"] = (_, value) => value is Undefined,
        ["none"] = (_, value) => value is null,
        ["boolean"] = (_, value) => value is bool,
        ["true"] = (_, value) => value is true,
        ["false"] = (_, value) => value is false,
        ["integer"] = (_, value) => value is BigInteger,
        ["float"] = (_, value) => value is double,
        ["number"] = (_, value) => value is BigInteger or double or bool,
        ["string"] = (_, value) => value is string or Markup,
        ["mapping"] = (_, value) => value is JinjaDict,
        ["sequence"] = (_, value) => value is string or Markup or JinjaList or JinjaTuple or JinjaDict or JinjaRange or Undefined,
        ["iterable"] = (_, value) => Sequences.IsIterable(value),
        ["callable"] = (_, value) => value is Callable or Undefined,
        ["escaped"] = (_, value) => value is Markup,
        ["lower"] = (run, value) => LetterKinds.IsLower(ValueText.Str(run, value)),
        ["upper"] = (run, value) => LetterKinds.IsUpper(ValueText.Str(run, value)),
        ["odd"] = (run, value) => IsDivisible(run, value, 2, 1),
        ["even"] = (run, value) => IsDivisible(run, value, 2, 0),
        ["filter"] = (_, value) => value is string name && FilterTable.Contains(name),
        ["test"] = (_, value) => value is string name && Contains(name),
    };

    private static readonly Dictionary<string, Func<Rendering, object?, object?, bool>> WithArgument = new(StringComparer.Ordinal)
    {
        ["in"] = (run, value, other) => Comparisons.Contains(run, other, value),
        ["eq"] = Comparisons.AreEqual,
        ["equalto"] = Comparisons.AreEqual,
        ["=="] = Comparisons.AreEqual,
        ["ne"] = (run, value, other) => !Comparisons.AreEqual(run, value, other),
        ["!="] = (run, value, other) => !Comparisons.AreEqual(run, value, other),
        ["lt"] = (run, value, other) => Comparisons.Order(run, value, other) < 0,
        ["lessthan"] = (run, value, other) => Comparisons.Order(run, value, other) < 0,
        ["<"] = (run, value, other) => Comparisons.Order(run, value, other) < 0,
        ["le"] = (run, value, other) => Comparisons.Order(run, value, other) <= 0,
        ["<="] = (run, value, other) => Comparisons.Order(run, value, other) <= 0,
        ["gt"] = (run, value, other) => Comparisons.Order(run, value, other) > 0,
        ["greaterthan"] = (run, value, other) => Comparisons.Order(run, value, other) > 0,
        [">"] = (run, value, other) => Comparisons.Order(run, value, other) > 0,
        ["ge"] = (run, value, other) => Comparisons.Order(run, value, other) >= 0,
        [">="] = (run, value, other) => Comparisons.Order(run, value, other) >= 0,
        ["divisibleby"] = (run, value, other) => IsDivisible(run, value, other, 0),
        ["sameas"] = AreSame,
    };

    /// <summary>The names of the tests, for error messages.</summary>
    public static string Names => string.Join(
        ", ", Plain.Keys.Concat(WithArgument.Keys.Where(name => char.IsLetter(name[0]))).Order(StringComparer.Ordinal));

    /// <summary>True if there is a test of the name.</summary>
    public static bool Contains(string name) => Plain.ContainsKey(name) || WithArgument.ContainsKey(name);

    /// <summary>Applies a test.</summary>
    public static bool Apply(Rendering run, string name, object? value, Arguments arguments)
    {
        string what = $"the test '{name}'";
        run.Work((value as string)?.Length ?? 0);
        if (Plain.TryGetValue(name, out Func<Rendering, object?, bool>? plain))
        {
            arguments.Bind(run, what);
            return plain(run, value);
        }

        return WithArgument.TryGetValue(name, out Func<Rendering, object?, object?, bool>? test)
            ? test(run, value, Arguments.Require(run, what, "other", arguments.Bind(run, what, "other")[0]))
            : throw run.Error($"{what} is not supported.");
    }

    private static bool IsDivisible(Rendering run, object? value, object? divisor, int rest) => Comparisons.AreEqual(
        run, Operators.Apply(run, "%", value is string ? null : value, divisor is int small ? new BigInteger(small) : divisor),
        new BigInteger(rest));

    // Python's identity: None, True and False are single objects, and so are small numbers.
    private static bool AreSame(Rendering run, object? value, object? other) => (value, other) switch
    {
        (null, null) => true,
        (bool a, bool b) => a == b,
        (BigInteger a, BigInteger b) => a == b,
        (string a, string b) => a == b,
        (double a, double b) => a.Equals(b),
        _ => ReferenceEquals(value, other),
    };
}
