using System.Globalization;
using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>Python's formatting with <c>%</c>: the conversions s, r, d, i, f, x and X with flags, width and precision.</summary>
internal static class PercentFormat
{
    /// <summary>Returns the format with its conversions replaced by values.</summary>
    /// <param name="run">The rendering.</param>
    /// <param name="format">The text with conversions.</param>
    /// <param name="values">A tuple of values, a dictionary for named conversions, or one value.</param>
    public static string Apply(Rendering run, string format, object? values)
    {
        IReadOnlyList<object?> items = values is JinjaTuple tuple ? tuple.Items : [values];
        TextBuilder text = run.NewText();
        int next = 0;
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%')
            {
                text.Append(format[i]);
                continue;
            }

            Conversion conversion = Read(run, format, ref i);
            if (conversion.Kind == '%')
            {
                text.Append('%');
                continue;
            }

            object? value = conversion.Name is { } name
                ? values is JinjaDict named && named.TryGet(name, out object? found)
                    ? found
                    : throw run.Error("the format names a value that the dictionary does not have.")
                : next < items.Count ? items[next++]
                : throw run.Error("the format has more conversions than values.");
            Write(run, conversion, value, text);
        }

        return next < items.Count && values is not JinjaDict
            ? throw run.Error("the format has fewer conversions than values.")
            : text.ToString();
    }

    private readonly record struct Conversion(string? Name, string Flags, int Width, int Precision, char Kind);

    private static Conversion Read(Rendering run, string format, ref int i)
    {
        i++;
        string? name = null;
        if (i < format.Length && format[i] == '(')
        {
            int end = format.IndexOf(')', i);
            name = end < 0 ? throw run.Error("the format has a '%(' without ')'.") : run.Text(format[(i + 1)..end]);
            i = end + 1;
        }

        int start = i;
        while (i < format.Length && format[i] is '-' or '+' or ' ' or '0')
        {
            i++;
        }

        string flags = format[start..i];
        int width = Digits(run, format, ref i) ?? 0, precision = -1;
        if (i < format.Length && format[i] == '.')
        {
            i++;
            precision = Digits(run, format, ref i) ?? 0;
        }

        return i < format.Length && format[i] is 's' or 'r' or 'd' or 'i' or 'f' or 'F' or 'x' or 'X' or '%'
            ? new Conversion(name, flags, width, precision, format[i])
            : throw run.Error("the format has a conversion that is not supported; s, r, d, i, f, x, X and % are.");
    }

    private static int? Digits(Rendering run, string format, ref int i)
    {
        int start = i;
        while (i < format.Length && char.IsAsciiDigit(format[i]))
        {
            i++;
        }

        return i == start ? null
            : i - start <= 6 ? int.Parse(format.AsSpan(start, i - start), CultureInfo.InvariantCulture)
            : throw run.Error("the format has a width of more than six digits.");
    }

    private static void Write(Rendering run, Conversion conversion, object? value, TextBuilder text)
    {
        string content = conversion.Kind switch
        {
            's' => ValueText.Str(run, value),
            'r' => ValueText.Repr(run, value),
            'f' or 'F' => NumberFormat.Fixed(run, value, conversion.Precision < 0 ? 6 : conversion.Precision),
            'x' or 'X' => NumberFormat.Hexadecimal(run, Sequences.Index(run, value), conversion.Kind == 'X'),
            _ => NumberFormat.Whole(run, value),
        };
        bool isText = conversion.Kind is 's' or 'r';
        if (isText && conversion.Precision >= 0)
        {
            content = (string)Sequences.Slice(run, content, null, new BigInteger(conversion.Precision), null)!;
        }

        if (conversion.Kind is 'd' or 'i' or 'x' or 'X')
        {
            run.Charge(Math.Max(0, conversion.Precision));
            content = content.StartsWith('-') ? "-" + Padded(content[1..]) : Padded(content);
        }

        if (!isText && !content.StartsWith('-'))
        {
            content = (conversion.Flags.Contains('+', StringComparison.Ordinal) ? "+"
                : conversion.Flags.Contains(' ', StringComparison.Ordinal) ? " " : "") + content;
        }

        int missing = Math.Max(0, conversion.Width - PythonText.Length(content));
        bool isLeft = conversion.Flags.Contains('-', StringComparison.Ordinal);
        bool isZero = !isText && !isLeft && conversion.Flags.Contains('0', StringComparison.Ordinal);
        int sign = isZero && content.Length > 0 && content[0] is '-' or '+' or ' ' ? 1 : 0;
        text.Append(content.AsSpan(0, sign)).Append(isZero ? '0' : ' ', isLeft ? 0 : missing).Append(content.AsSpan(sign))
            .Append(' ', isLeft ? missing : 0);

        string Padded(string digits) => digits.PadLeft(Math.Max(0, conversion.Precision), '0');
    }
}
