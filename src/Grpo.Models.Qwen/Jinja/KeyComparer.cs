using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>Compares the keys of a dictionary as Python does: 1, 1.0 and True are the same key.</summary>
internal sealed class KeyComparer : IEqualityComparer<object>
{
    private static readonly object None = new();

    public static KeyComparer Instance { get; } = new();

    /// <summary>Returns a key that is not null.</summary>
    public static object Box(object? key) => key switch
    {
        null => None,
        true => BigInteger.One,
        false => BigInteger.Zero,
        double number when Math.Floor(number) == number && !double.IsInfinity(number) => new BigInteger(number),
        Markup markup => markup.Text,
        _ => key,
    };

    /// <summary>True if a value can be a key: no list, dictionary or namespace is. It counts the work of one look-up.</summary>
    public static bool IsHashable(Rendering run, object? key)
    {
        foreach (object? item in key is JinjaTuple tuple ? tuple.Items : [key])
        {
            run.Work((item as string)?.Length ?? 0);
            if (key is JinjaTuple)
            {
                run.Step();
            }

            // A tuple inside a tuple would need a bound on the depth.
            if (item is not (null or bool or BigInteger or double or string or Markup))
            {
                return false;
            }
        }

        return true;
    }

    public new bool Equals(object? x, object? y) => (x, y) switch
    {
        (JinjaTuple left, JinjaTuple right) => left.Items.Count == right.Items.Count
            && left.Items.Zip(right.Items).All(pair => Equals(Box(pair.First), Box(pair.Second))),
        (string left, string right) => left == right,
        _ => x is not null && x.Equals(y),
    };

    public int GetHashCode(object key)
    {
        var hash = new HashCode();
        foreach (object? item in key is JinjaTuple tuple ? tuple.Items : [key])
        {
            hash.Add(Box(item) is string text ? string.GetHashCode(text, StringComparison.Ordinal) : Box(item).GetHashCode());
        }

        return hash.ToHashCode();
    }
}
