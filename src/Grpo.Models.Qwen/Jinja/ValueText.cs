using System.Globalization;
using System.Numerics;
using System.Text;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>Python's <c>str</c> and <c>repr</c> of values, and the names of their types.</summary>
internal static class ValueText
{
    /// <summary>Returns the name of Python's type.</summary>
    public static string TypeOf(object? value) => value switch
    {
        null => "NoneType",
        bool => "bool",
        BigInteger => "int",
        double => "float",
        string => "str",
        Markup => "Markup",
        JinjaList => "list",
        JinjaTuple => "tuple",
        JinjaDict => "dict",
        JinjaView view => view.Name,
        JinjaRange => "range",
        JinjaIterator => "generator",
        JinjaNamespace => "namespace",
        Undefined => "undefined value",
        LoopState => "loop",
        _ => "function",
    };

    /// <summary>Returns the text that printing the value gives. An undefined value prints as nothing.</summary>
    public static string Str(Rendering run, object? value)
    {
        switch (value)
        {
            case string text:
                return text;
            case Markup markup:
                return markup.Text;
            case Undefined:
                return "";
            default:
                TextBuilder builder = run.NewText();
                Write(run, value, builder);
                return builder.ToString();
        }
    }

    /// <summary>Returns the text in the form of a literal, as in printed lists.</summary>
    public static string Repr(Rendering run, object? value)
    {
        TextBuilder builder = run.NewText();
        Write(run, value, builder);
        return builder.ToString();
    }

    private static void Write(Rendering run, object? value, TextBuilder text)
    {
        run.Step();
        run.Enter();
        _ = value switch
        {
            null => text.Append("None"),
            bool truth => text.Append(truth ? "True" : "False"),
            BigInteger number => text.Append(number.ToString(CultureInfo.InvariantCulture)),
            double number => text.Append(PythonNumber.Print(number)),
            string content => Quote(content, text),
            Markup markup => Quote(markup.Text, text.Append("Markup(")).Append(")"),
            JinjaList list => Write(run, "[", list.Items, "]", text),
            JinjaTuple tuple => Write(run, "(", tuple.Items, tuple.Items.Count == 1 ? ",)" : ")", text),
            JinjaDict dictionary => Write(run, dictionary, text),
            JinjaView view => Write(run, view.Name + "([", view.Items, "])", text),
            JinjaRange { Step.IsOne: true } range => text.Append(string.Create(
                CultureInfo.InvariantCulture, $"range({range.Start}, {range.Stop})")),
            JinjaRange range => text.Append(string.Create(
                CultureInfo.InvariantCulture, $"range({range.Start}, {range.Stop}, {range.Step})")),
            Undefined => text.Append("Undefined"),
            JinjaNamespace space => Write(run, space.Attributes, text.Append("<Namespace ")).Append(">"),
            LoopState loop => text.Append(string.Create(CultureInfo.InvariantCulture, $"<LoopContext {loop.Index + 1}/{loop.Count}>")),
            _ => throw run.Error(
                $"a {TypeOf(value)} is printed; its text would be an address in memory. Print its elements or what it returns."),
        };
        run.Leave();
    }

    private static TextBuilder Write(Rendering run, string start, IReadOnlyList<object?> items, string end, TextBuilder text)
    {
        text.Append(start);
        for (int i = 0; i < items.Count; i++)
        {
            text.Append(i > 0 ? ", " : "");
            Write(run, items[i], text);
        }

        return text.Append(end);
    }

    private static TextBuilder Write(Rendering run, JinjaDict dictionary, TextBuilder text)
    {
        text.Append("{");
        bool isFirst = true;
        foreach ((object? key, object? value) in dictionary.Items)
        {
            text.Append(isFirst ? "" : ", ");
            isFirst = false;
            Write(run, key, text);
            text.Append(": ");
            Write(run, value, text);
        }

        return text.Append("}");
    }

    private static TextBuilder Quote(string content, TextBuilder text)
    {
        char quote = content.Contains('\'', StringComparison.Ordinal) && !content.Contains('"', StringComparison.Ordinal) ? '"' : '\'';
        text.Append(quote);
        for (int i = 0; i < content.Length;)
        {
            bool isValid = Rune.DecodeFromUtf16(content.AsSpan(i), out Rune rune, out int length) == System.Buffers.OperationStatus.Done;
            char unit = content[i];
            _ = unit switch
            {
                '\\' => text.Append(@"\\"),
                '\n' => text.Append(@"\n"),
                '\r' => text.Append(@"\r"),
                '\t' => text.Append(@"\t"),
                _ when unit == quote => text.Append('\\').Append(quote),
                _ when isValid && PythonText.IsPrintable(rune) => text.Append(content.AsSpan(i, length)),
                _ => text.Append(Escape(isValid ? rune.Value : unit)),
            };
            i += length;
        }

        return text.Append(quote);
    }

    private static string Escape(int code) => code < 0x100 ? string.Create(CultureInfo.InvariantCulture, $"\\x{code:x2}")
        : code < 0x10000 ? string.Create(CultureInfo.InvariantCulture, $"\\u{code:x4}")
        : string.Create(CultureInfo.InvariantCulture, $"\\U{code:x8}");
}
