using System.Globalization;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>The function <c>strftime_now</c>: the local time in the format of C's <c>strftime</c>, with English names.</summary>
internal static class DateFormat
{
    /// <summary>Formats the time of the rendering's clock.</summary>
    public static string Now(Rendering run, string format)
    {
        DateTime now = run.Clock.GetLocalNow().DateTime;
        TextBuilder text = run.NewText();
        for (int i = 0; i < format.Length; i++)
        {
            if (format[i] != '%')
            {
                text.Append(format[i]);
                continue;
            }

            bool isShort = i + 1 < format.Length && format[i + 1] == '-';
            i += isShort ? 2 : 1;
            string part = i < format.Length ? Part(run, now, format[i]) : throw run.Error("the date format ends with '%'.");
            text.Append(isShort && part.Length > 1 ? Shorten(run, part, format[i]) : part);
        }

        return text.ToString();
    }

    private static string Part(Rendering run, DateTime now, char letter)
    {
        string? form = letter switch
        {
            'Y' => "yyyy",
            'y' => "yy",
            'm' => "MM",
            'd' => "dd",
            'H' => "HH",
            'I' => "hh",
            'M' => "mm",
            'S' => "ss",
            'f' => "ffffff",
            'B' => "MMMM",
            'b' or 'h' => "MMM",
            'A' => "dddd",
            'a' => "ddd",
            'F' => "yyyy-MM-dd",
            'T' => "HH:mm:ss",
            'R' => "HH:mm",
            'D' => "MM/dd/yy",
            _ => null,
        };
        return form is not null ? now.ToString(form, CultureInfo.InvariantCulture) : letter switch
        {
            'p' => now.Hour < 12 ? "AM" : "PM",
            'e' => now.Day.ToString(CultureInfo.InvariantCulture).PadLeft(2),
            'j' => now.DayOfYear.ToString("000", CultureInfo.InvariantCulture),
            '%' => "%",
            'Z' or 'z' => "", // the time has no zone
            _ => throw run.Error($"the date format '%{letter}' is not supported."),
        };
    }

    private static string Shorten(Rendering run, string part, char letter) => letter is 'm' or 'd' or 'H' or 'I' or 'M' or 'S' or 'j' or 'y'
        ? part.TrimStart('0') is { Length: > 0 } rest ? rest : "0"
        : throw run.Error($"the date format '%-{letter}' is not supported.");
}
