using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>The filters that make a text from a text.</summary>
internal static class TextFilters
{
    public static object Trim(Rendering run, object? value, Arguments arguments) =>
        TextMethods.Strip(run, ValueText.Str(run, value), arguments, "trim", start: true, end: true);

    /// <summary>Each word gets a first letter in upper case. Words end at blanks, hyphens and opening brackets.</summary>
    public static object Title(Rendering run, object? value, Arguments arguments)
    {
        arguments.Bind(run, "title");
        string text = ValueText.Str(run, value);
        TextBuilder result = run.NewText();
        for (int start = 0; start < text.Length;)
        {
            int end = start;
            while (end < text.Length && IsGap(text[end]) == IsGap(text[start]))
            {
                end++;
            }

            int first = end - start > 1 && char.IsSurrogatePair(text[start], text[start + 1]) ? 2 : 1;
            result.Append(CaseMapping.Upper(run, text.Substring(start, first)))
                .Append(CaseMapping.Lower(run, text[(start + first)..end]));
            start = end;
        }

        return result.ToString();

        static bool IsGap(char letter) => PythonText.IsSpace(letter) || letter is '-' or '(' or '{' or '[' or '<';
    }

    public static object Replace(Rendering run, object? value, Arguments arguments)
    {
        object?[] values = arguments.Bind(run, "replace", "old", "new", "count");
        object? count = Arguments.Or(values[2], null);
        if (value is Markup || values.Any(part => part is Markup))
        {
            throw run.Error("'replace' of escaped text is not supported. Replace before 'escape' or 'safe'.");
        }

        return TextMethods.Replace(
            run, ValueText.Str(run, value), ValueText.Str(run, Arguments.Require(run, "replace", "old", values[0])),
            ValueText.Str(run, Arguments.Require(run, "replace", "new", values[1])),
            count is null ? BigInteger.MinusOne : Sequences.Index(run, count));
    }

    public static object Indent(Rendering run, object? value, Arguments arguments)
    {
        object?[] values = arguments.Bind(run, "indent", "width", "first", "blank");
        object? width = Arguments.Or(values[0], new BigInteger(4));
        bool first = Comparisons.IsTrue(Arguments.Or(values[1], false)), blank = Comparisons.IsTrue(Arguments.Or(values[2], false));
        string indent = width is string given ? given : TextMethods.Justify(run, "", Sequences.Index(run, width), " ", "ljust");
        string text = TextMethods.Require(run, "indent", value);
        run.Charge(16L * text.Length);
        List<string> lines = PythonText.Lines(text + "\n");
        TextBuilder result = run.NewText();
        for (int i = 0; i < lines.Count; i++)
        {
            bool isIndented = i == 0 ? first : blank || lines[i].Length > 0;
            result.Append(i > 0 ? "\n" : "").Append(isIndented ? indent : "").Append(lines[i]);
        }

        return result.ToString();
    }

    public static object Center(Rendering run, object? value, Arguments arguments) => TextMethods.Justify(
        run, ValueText.Str(run, value), Sequences.Index(run, Arguments.Or(arguments.Bind(run, "center", "width")[0], new BigInteger(80))),
        " ", "center");

    public static object Format(Rendering run, object? value, Arguments arguments)
    {
        if (arguments.Keywords.Count == 0)
        {
            return PercentFormat.Apply(run, ValueText.Str(run, value), new JinjaTuple(arguments.Positional));
        }

        if (arguments.Positional.Count > 0)
        {
            throw run.Error("'format' takes values with names, or values without, not both.");
        }

        var named = new JinjaDict();
        foreach ((string key, object? item) in arguments.Keywords)
        {
            named.Set(key, item);
        }

        return PercentFormat.Apply(run, ValueText.Str(run, value), named);
    }

    public static object Join(Rendering run, object? value, Arguments arguments)
    {
        object?[] values = arguments.Bind(run, "join", "d", "attribute");
        string separator = ValueText.Str(run, Arguments.Or(values[0], ""));
        object? attribute = Arguments.Or(values[1], null);
        TextBuilder text = run.NewText();
        bool isFirst = true;
        foreach (object? item in Sequences.Iterate(run, value))
        {
            run.Step();
            object? shown = attribute is null ? item : SelectFilters.Path(run, item, attribute);
            text.Append(isFirst ? "" : separator).Append(ValueText.Str(run, shown));
            isFirst = false;
        }

        return text.ToString();
    }
}
