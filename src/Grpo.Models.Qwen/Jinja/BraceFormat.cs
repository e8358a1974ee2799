using System.Globalization;
using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>Python's <c>str.format</c> with fields by position or name, the conversions s and r, and common specifications.</summary>
internal static class BraceFormat
{
    /// <summary>Returns the format with its fields replaced by values.</summary>
    public static string Apply(Rendering run, string format, Arguments arguments)
    {
        TextBuilder text = run.NewText();
        int next = 0;
        for (int i = 0; i < format.Length; i++)
        {
            char letter = format[i];
            if (letter is not ('{' or '}'))
            {
                text.Append(letter);
            }
            else if (i + 1 < format.Length && format[i + 1] == letter)
            {
                text.Append(letter);
                i++;
            }
            else
            {
                int end = letter == '{' ? format.IndexOf('}', i) : -1;
                if (end < 0)
                {
                    throw run.Error($"the format has a single '{letter}'. Write it twice, or close the field.");
                }

                text.Append(Field(run, format[(i + 1)..end], arguments, ref next));
                i = end;
            }
        }

        return text.ToString();
    }

    private static string Field(Rendering run, string field, Arguments arguments, ref int next)
    {
        int colon = field.IndexOf(':', StringComparison.Ordinal);
        string specification = colon < 0 ? "" : field[(colon + 1)..];
        string name = colon < 0 ? field : field[..colon];
        char conversion = name.Length > 1 && name[^2] == '!' ? name[^1] : ' ';
        name = conversion == ' ' ? name : name[..^2];
        if (conversion is not (' ' or 's' or 'r') || name.AsSpan().IndexOfAny(".[{!") >= 0
            || specification.Contains('{', StringComparison.Ordinal))
        {
            throw run.Error("the format has a field that is not supported; positions, names, '!s' and '!r' are.");
        }

        bool isPlace = int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int place);
        if ((name.Length == 0 && next < 0) || (isPlace && next > 0))
        {
            throw run.Error("the format mixes fields with and without a number.");
        }

        next = isPlace ? -1 : next;
        object? value = name.Length == 0 ? At(run, arguments, next++) : isPlace ? At(run, arguments, place) : Named(run, arguments, name);
        return Format(run, conversion switch
        {
            's' => ValueText.Str(run, value),
            'r' => ValueText.Repr(run, value),
            _ => value,
        }, specification);
    }

    private static object? At(Rendering run, Arguments arguments, int place) => place < arguments.Positional.Count
        ? arguments.Positional[place]
        : throw run.Error($"the format has a field {place}, but {arguments.Positional.Count} values.");

    private static object? Named(Rendering run, Arguments arguments, string name)
    {
        foreach ((string key, object? value) in arguments.Keywords)
        {
            if (key == name)
            {
                return value;
            }
        }

        throw run.Error("the format has a named field without a value.");
    }

    // [[fill]align][sign][0][width][,][.precision][type]
    private static string Format(Rendering run, object? value, string specification)
    {
        if (specification.Length == 0)
        {
            return ValueText.Str(run, value);
        }

        bool isNumber = value is BigInteger or double;
        if (!isNumber && value is not string)
        {
            throw run.Error($"a value of the type {ValueText.TypeOf(value)} takes no format specification here.");
        }

        int i = 0;
        string fill = " ";
        char align = ' ';
        if (specification.Length > 1 && specification[1] is '<' or '>' or '^')
        {
            (fill, align, i) = (specification[..1], specification[1], 2);
        }
        else if (specification[0] is '<' or '>' or '^')
        {
            (align, i) = (specification[0], 1);
        }

        char sign = isNumber && i < specification.Length && specification[i] is '+' or '-' or ' ' ? specification[i++] : '-';
        bool isZero = i < specification.Length && specification[i] == '0';
        int width = Digits(run, specification, ref i) ?? 0, precision = -1;
        bool hasCommas = isNumber && i < specification.Length && specification[i] == ',';
        i += hasCommas ? 1 : 0;
        if (i < specification.Length && specification[i] == '.')
        {
            i++;
            precision = Digits(run, specification, ref i) ?? throw run.Error("the format has a '.' without a precision.");
        }

        char kind = i < specification.Length ? specification[i++] : ' ';
        if (i < specification.Length || (isZero && align != ' '))
        {
            throw run.Error("the format specification is not supported; fill, align, sign, width, ',', precision, s, d and f are.");
        }

        string text = isNumber ? Number(run, value, precision, kind, hasCommas) : Text(run, (string)value!, precision, kind);
        text = isNumber && sign != '-' && !text.StartsWith('-') ? sign + text : text;
        char side = align == ' ' ? isNumber ? '>' : '<' : align;
        return isZero && isNumber ? Pad(run, text, width, "0", '=') : Pad(run, text, width, fill, side);
    }

    private static string Number(Rendering run, object? value, int precision, char kind, bool hasCommas)
    {
        string text = (kind, value) switch
        {
            ('f' or 'F', _) => NumberFormat.Fixed(run, value, precision < 0 ? 6 : precision),
            ('d', BigInteger) or (' ', BigInteger) when precision < 0 => ValueText.Str(run, value),
            (' ', double) when precision < 0 => ValueText.Str(run, value),
            _ => throw run.Error("the format specification of a number is not supported; d and f are."),
        };
        if (!hasCommas)
        {
            return text;
        }

        int point = text.IndexOf('.', StringComparison.Ordinal), end = point < 0 ? text.Length : point;
        for (int at = end - 3; at > (text[0] == '-' ? 1 : 0); at -= 3)
        {
            text = text.Insert(at, ",");
        }

        return text;
    }

    private static string Text(Rendering run, string value, int precision, char kind) => kind is not (' ' or 's')
        ? throw run.Error("the format specification of a text is not supported; s is.")
        : precision < 0 ? value
        : (string)Sequences.Slice(run, value, null, new BigInteger(precision), null)!;

    private static string Pad(Rendering run, string text, int width, string fill, char align)
    {
        int sign = align == '=' && text.Length > 0 && text[0] is '-' or '+' or ' ' ? 1 : 0;
        if (align == '^')
        {
            int missing = Math.Max(0, width - PythonText.Length(text));
            text = TextMethods.Justify(run, text, PythonText.Length(text) + (missing / 2), fill, "rjust");
            return TextMethods.Justify(run, text, width, fill, "ljust");
        }

        return text[..sign] + TextMethods.Justify(run, text[sign..], width - sign, fill, align == '<' ? "ljust" : "rjust");
    }

    private static int? Digits(Rendering run, string text, ref int i)
    {
        int start = i;
        while (i < text.Length && char.IsAsciiDigit(text[i]))
        {
            i++;
        }

        return i == start ? null
            : i - start <= 6 ? int.Parse(text.AsSpan(start, i - start), CultureInfo.InvariantCulture)
            : throw run.Error("the format has a width of more than six digits.");
    }
}
