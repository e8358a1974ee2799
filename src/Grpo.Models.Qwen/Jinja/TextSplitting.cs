using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>The methods that split a text.</summary>
internal static class TextSplitting
{
    /// <summary>Splits at a separator, or at whitespace if there is none.</summary>
    public static JinjaList Split(Rendering run, string text, Arguments arguments, bool fromRight)
    {
        string name = fromRight ? "rsplit" : "split";
        object?[] values = arguments.Bind(run, name, "sep", "maxsplit");
        object? separator = Arguments.Or(values[0], null);
        BigInteger most = Sequences.Index(run, Arguments.Or(values[1], BigInteger.MinusOne));
        int splits = most.Sign < 0 ? int.MaxValue : (int)BigInteger.Min(most, int.MaxValue);
        run.Charge(text.Length);
        List<object?> parts = separator is null
            ? fromRight ? FromRight(run, text, splits) : AtSpaces(run, text, splits)
            : At(run, text, TextMethods.Require(run, name, separator), splits, fromRight);
        return run.List(parts);
    }

    /// <summary>Splits into lines.</summary>
    public static object SplitLines(Rendering run, string text, Arguments arguments)
    {
        bool keepsEnds = Comparisons.IsTrue(Arguments.Or(arguments.Bind(run, "splitlines", "keepends")[0], false));
        run.Charge(16L * text.Length);
        return run.List([.. PythonText.Lines(text, keepsEnds)]);
    }

    /// <summary>Splits at the first or the last separator into the part before, the separator, and the part after.</summary>
    public static object Partition(Rendering run, string text, Arguments arguments, bool fromRight)
    {
        string name = fromRight ? "rpartition" : "partition";
        object? value = Arguments.Require(run, name, "sep", arguments.Bind(run, name, "sep")[0]);
        string separator = Separator(run, TextMethods.Require(run, name, value));
        run.Charge(text.Length);
        int at = fromRight ? TextSearch.Last(run, text, separator) : TextSearch.First(run, text, separator);
        return at >= 0 ? new JinjaTuple([text[..at], separator, text[(at + separator.Length)..]])
            : new JinjaTuple(fromRight ? ["", "", text] : [text, "", ""]);
    }

    private static string Separator(Rendering run, string separator) => separator.Length > 0
        ? separator
        : throw run.Error("a text cannot be split at an empty separator.");

    private static List<object?> At(Rendering run, string text, string separator, int splits, bool fromRight)
    {
        Separator(run, separator);
        var parts = new List<object?>();
        ReadOnlySpan<char> rest = text;
        while (splits-- > 0
            && (fromRight ? TextSearch.Last(run, rest, separator) : TextSearch.First(run, rest, separator)) is >= 0 and int at)
        {
            run.Charge(16);
            parts.Add((fromRight ? rest[(at + separator.Length)..] : rest[..at]).ToString());
            rest = fromRight ? rest[..at] : rest[(at + separator.Length)..];
        }

        parts.Add(rest.ToString());
        if (fromRight)
        {
            parts.Reverse();
        }

        return parts;
    }

    private static List<object?> AtSpaces(Rendering run, string text, int splits)
    {
        var parts = new List<object?>();
        ReadOnlySpan<char> rest = PythonText.TrimStart(text);
        while (!rest.IsEmpty)
        {
            run.Charge(16);
            int end = 0;
            while (splits > 0 && end < rest.Length && !PythonText.IsSpace(rest[end]))
            {
                end++;
            }

            if (splits-- <= 0)
            {
                parts.Add(rest.ToString());
                break;
            }

            parts.Add(rest[..end].ToString());
            rest = PythonText.TrimStart(rest[end..]);
        }

        return parts;
    }

    private static List<object?> FromRight(Rendering run, string text, int splits)
    {
        var parts = new List<object?>();
        ReadOnlySpan<char> rest = PythonText.TrimEnd(text);
        while (!rest.IsEmpty)
        {
            run.Charge(16);
            if (splits-- <= 0)
            {
                parts.Add(rest.ToString());
                break;
            }

            int start = rest.Length;
            while (start > 0 && !PythonText.IsSpace(rest[start - 1]))
            {
                start--;
            }

            parts.Add(rest[start..].ToString());
            rest = PythonText.TrimEnd(rest[..start]);
        }

        parts.Reverse();
        return parts;
    }
}
