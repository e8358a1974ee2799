using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>The methods of texts.</summary>
internal static class TextMethods
{
    private delegate object? Method(Rendering run, string text, Arguments arguments);

    private static readonly Dictionary<string, Method> Table = new(StringComparer.Ordinal)
    {
        ["strip"] = (run, text, a) => Strip(run, text, a, "strip", start: true, end: true),
        ["lstrip"] = (run, text, a) => Strip(run, text, a, "lstrip", start: true, end: false),
        ["rstrip"] = (run, text, a) => Strip(run, text, a, "rstrip", start: false, end: true),
        ["split"] = (run, text, a) => TextSplitting.Split(run, text, a, fromRight: false),
        ["rsplit"] = (run, text, a) => TextSplitting.Split(run, text, a, fromRight: true),
        ["splitlines"] = TextSplitting.SplitLines,
        ["partition"] = (run, text, a) => TextSplitting.Partition(run, text, a, fromRight: false),
        ["rpartition"] = (run, text, a) => TextSplitting.Partition(run, text, a, fromRight: true),
        ["startswith"] = (run, text, a) => HasAffix(run, text, a, "startswith"),
        ["endswith"] = (run, text, a) => HasAffix(run, text, a, "endswith"),
        ["removeprefix"] = (run, text, a) => One(run, a, "removeprefix") is var part && text.StartsWith(part, StringComparison.Ordinal)
            ? run.Text(text[part.Length..]) : text,
        ["removesuffix"] = (run, text, a) => One(run, a, "removesuffix") is var part && text.EndsWith(part, StringComparison.Ordinal)
            ? run.Text(text[..^part.Length]) : text,
        ["upper"] = (run, text, a) => None(run, a, "upper", CaseMapping.Upper(run, text)),
        ["lower"] = (run, text, a) => None(run, a, "lower", CaseMapping.Lower(run, text)),
        ["title"] = (run, text, a) => None(run, a, "title", CaseMapping.Title(run, text)),
        ["capitalize"] = (run, text, a) => None(run, a, "capitalize", CaseMapping.Capitalize(run, text)),
        ["swapcase"] = (run, text, a) => None(run, a, "swapcase", CaseMapping.Swap(run, text)),
        ["casefold"] = (run, text, a) => None(run, a, "casefold", CaseMapping.Fold(run, text)),
        ["replace"] = Replace,
        ["join"] = Join,
        ["format"] = (run, text, a) => BraceFormat.Apply(run, text, a),
        ["count"] = (run, text, a) => Count(run, text, One(run, a, "count")),
        ["find"] = (run, text, a) => Find(run, text, a, "find", fromRight: false, isRequired: false),
        ["rfind"] = (run, text, a) => Find(run, text, a, "rfind", fromRight: true, isRequired: false),
        ["index"] = (run, text, a) => Find(run, text, a, "index", fromRight: false, isRequired: true),
        ["rindex"] = (run, text, a) => Find(run, text, a, "rindex", fromRight: true, isRequired: true),
        ["ljust"] = (run, text, a) => Justify(run, text, a, "ljust"),
        ["rjust"] = (run, text, a) => Justify(run, text, a, "rjust"),
        ["center"] = (run, text, a) => Justify(run, text, a, "center"),
        ["zfill"] = ZeroFill,
        ["isspace"] = (run, text, a) => None(run, a, "isspace", text.Length > 0 && text.All(PythonText.IsSpace)),
        ["isascii"] = (run, text, a) => None(run, a, "isascii", System.Text.Ascii.IsValid(text)),
        ["isdigit"] = (run, text, a) => None(run, a, "isdigit", LetterKinds.AreDigits(run, text)),
        ["isdecimal"] = (run, text, a) => None(run, a, "isdecimal", LetterKinds.AreDecimals(text)),
        ["isalpha"] = (run, text, a) => None(run, a, "isalpha", LetterKinds.AreLetters(text)),
        ["isalnum"] = (run, text, a) => None(run, a, "isalnum", LetterKinds.AreLettersOrDigits(run, text)),
        ["islower"] = (run, text, a) => None(run, a, "islower", LetterKinds.IsLower(text)),
        ["isupper"] = (run, text, a) => None(run, a, "isupper", LetterKinds.IsUpper(text)),
        ["istitle"] = (run, text, a) => None(run, a, "istitle", LetterKinds.IsTitle(text)),
    };

    // Methods of Python's str that are refused when the template is parsed.
    private static readonly HashSet<string> Unsupported = new(StringComparer.Ordinal)
    {
        "encode", "expandtabs", "format_map", "isidentifier", "isnumeric", "isprintable", "maketrans", "translate",
    };

    /// <summary>Returns a method bound to a text; null if texts have none of the name.</summary>
    public static Function? Find(string text, string name) =>
        Table.TryGetValue(name, out Method? method) ? new Function(name, (run, arguments) =>
        {
            run.Work(text.Length);
            return method(run, text, arguments);
        })
        : IsUnsupported(name) ? new Function(name, (run, _) => throw run.Error($"the method '{name}' of a text is not supported."))
        : null;

    /// <summary>True for a method of Python's texts that is not supported.</summary>
    public static bool IsUnsupported(string name) => Unsupported.Contains(name);

    /// <summary>Replaces parts of a text. An empty part stands between all code points.</summary>
    public static string Replace(Rendering run, string text, string part, string by, BigInteger count)
    {
        long left = count.Sign < 0 ? long.MaxValue : (long)BigInteger.Min(count, int.MaxValue);
        TextBuilder result = run.NewText();
        if (part.Length == 0)
        {
            run.Charge(20L * text.Length);
            foreach (string point in PythonText.CodePoints(text))
            {
                result.Append(left-- > 0 ? by : "").Append(point);
            }

            return result.Append(left > 0 ? by : "").ToString();
        }

        int start = 0;
        for (int at; left > 0 && (at = TextSearch.First(run, text.AsSpan(start), part)) >= 0; left--)
        {
            run.Step();
            result.Append(text.AsSpan(start, at)).Append(by);
            start += at + part.Length;
        }

        return result.Append(text.AsSpan(start)).ToString();
    }

    /// <summary>Requires a text.</summary>
    public static string Require(Rendering run, string what, object? value) => value switch
    {
        string text => text,
        Markup markup => markup.Text,
        Undefined missing => throw run.Error(missing.Reason),
        _ => throw run.Error($"{what} needs a text, not {ValueText.TypeOf(value)}."),
    };

    /// <summary>Pads a text with blanks or other characters on one side, or on both.</summary>
    public static string Justify(Rendering run, string text, BigInteger width, string fill, string how)
    {
        if (PythonText.Length(fill) != 1)
        {
            throw run.Error($"{how} fills with one character.");
        }

        int missing = (int)BigInteger.Clamp(width - PythonText.Length(text), 0, int.MaxValue);
        run.Charge(text.Length + ((long)fill.Length * missing));
        int before = how switch
        {
            "ljust" => 0,
            "rjust" => missing,
            _ => (missing / 2) + (missing & (int)BigInteger.Max(width, 0) & 1), // as Python divides an odd rest
        };
        return string.Concat(Enumerable.Repeat(fill, before)) + text + string.Concat(Enumerable.Repeat(fill, missing - before));
    }

    private static T None<T>(Rendering run, Arguments arguments, string name, T result)
    {
        arguments.Bind(run, name);
        return result;
    }

    private static string One(Rendering run, Arguments arguments, string name) =>
        Require(run, name, Arguments.Require(run, name, "text", arguments.Bind(run, name, "text")[0]));

    /// <summary>Drops whitespace or given characters at the ends of a text.</summary>
    public static string Strip(Rendering run, string text, Arguments arguments, string name, bool start, bool end)
    {
        object? given = Arguments.Or(arguments.Bind(run, name, "chars")[0], null);
        string? characters = given is null ? null : Require(run, name, given);
        run.Charge(text.Length + (40L * (characters?.Length ?? 0)));
        return PythonText.Strip(text, characters, start, end);
    }

    private static bool HasAffix(Rendering run, string text, Arguments arguments, string name)
    {
        object? affix = Arguments.Require(run, name, "text", arguments.Bind(run, name, "text")[0]);
        IReadOnlyList<object?> all = affix is JinjaTuple tuple ? tuple.Items : [affix];
        return all.Any(one =>
        {
            string part = Require(run, name, one);
            run.Step();
            run.Work(Math.Min(part.Length, text.Length));
            return name == "startswith" ? text.StartsWith(part, StringComparison.Ordinal) : text.EndsWith(part, StringComparison.Ordinal);
        });
    }

    private static string Replace(Rendering run, string text, Arguments arguments)
    {
        object?[] values = arguments.Bind(run, "replace", "old", "new", "count");
        return Replace(
            run, text, Require(run, "replace", Arguments.Require(run, "replace", "old", values[0])),
            Require(run, "replace", Arguments.Require(run, "replace", "new", values[1])),
            Sequences.Index(run, Arguments.Or(values[2], BigInteger.MinusOne)));
    }

    private static string Join(Rendering run, string separator, Arguments arguments)
    {
        object? items = Arguments.Require(run, "join", "values", arguments.Bind(run, "join", "values")[0]);
        TextBuilder text = run.NewText();
        bool isFirst = true;
        foreach (object? item in Sequences.Iterate(run, items))
        {
            run.Step();
            text.Append(isFirst ? "" : separator).Append(Require(run, "join", item));
            isFirst = false;
        }

        return text.ToString();
    }

    private static BigInteger Count(Rendering run, string text, string part)
    {
        if (part.Length == 0)
        {
            return new BigInteger(PythonText.Length(text) + 1);
        }

        int count = 0;
        for (int at = 0, next; (next = TextSearch.First(run, text.AsSpan(at), part)) >= 0; at += next + part.Length)
        {
            run.Step();
            count++;
        }

        return new BigInteger(count);
    }

    private static BigInteger Find(Rendering run, string text, Arguments arguments, string name, bool fromRight, bool isRequired)
    {
        string part = One(run, arguments, name);
        run.Charge(text.Length);
        int at = fromRight ? TextSearch.Last(run, text, part) : TextSearch.First(run, text, part);
        return at >= 0 || !isRequired
            ? new BigInteger(at < 0 ? -1 : PythonText.Length(text[..at]))
            : throw run.Error($"the text does not hold the part that '{name}' looks for.");
    }

    private static string Justify(Rendering run, string text, Arguments arguments, string name)
    {
        object?[] values = arguments.Bind(run, name, "width", "fill");
        return Justify(
            run, text, Sequences.Index(run, Arguments.Require(run, name, "width", values[0])),
            Require(run, name, Arguments.Or(values[1], " ")), name);
    }

    private static string ZeroFill(Rendering run, string text, Arguments arguments)
    {
        object? width = Arguments.Require(run, "zfill", "width", arguments.Bind(run, "zfill", "width")[0]);
        int sign = text.Length > 0 && text[0] is '+' or '-' ? 1 : 0;
        return text[..sign] + Justify(run, text[sign..], Sequences.Index(run, width) - sign, "0", "rjust");
    }
}
