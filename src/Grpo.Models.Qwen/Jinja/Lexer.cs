using System.Text;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>
/// Splits a template into text and tags, with the whitespace rules of <c>trim_blocks</c>, <c>lstrip_blocks</c>, <c>-</c> and <c>+</c>.
/// </summary>
internal sealed class Lexer
{
    private readonly string _source;
    private readonly List<Token> _tokens = [];
    private readonly TagLexer _tag;
    private int _line = 1;
    private int _lineStart;
    private int _counted;

    private Lexer(string source)
    {
        _source = source;
        _tag = new TagLexer(source, _tokens, MarkAt);
    }

    /// <summary>Returns the tokens of a template. The last one has the kind <see cref="TokenKind.End"/>.</summary>
    /// <exception cref="ChatTemplateException">A tag, a string or a comment is malformed.</exception>
    public static List<Token> Tokenize(string text)
    {
        var lexer = new Lexer(Normalize(text));
        lexer.Run();
        return lexer._tokens;
    }

    /// <summary>Returns the end of the whitespace that begins at a position.</summary>
    internal static int SkipSpace(string source, int position)
    {
        while (position < source.Length && PythonText.IsSpace(source[position]))
        {
            position++;
        }

        return position;
    }

    // Jinja reads every line end as '\n' and drops one at the end of the template.
    private static string Normalize(string text)
    {
        string source = text.Contains('\r', StringComparison.Ordinal)
            ? text.Replace("\r\n", "\n", StringComparison.Ordinal).Replace('\r', '\n')
            : text;
        return source.EndsWith('\n') ? source[..^1] : source;
    }

    private void Run()
    {
        int position = 0;
        while (position < _source.Length)
        {
            int tag = FindTag(position);
            if (tag < 0)
            {
                Add(TokenKind.Data, position, _source[position..]);
                break;
            }

            position = _source[tag + 1] switch
            {
                '#' => Comment(position, tag),
                '{' => Tag(position, tag, TokenKind.VariableBegin),
                _ => EndOfRawBegin(tag) is { } body ? Raw(position, tag, body) : Tag(position, tag, TokenKind.BlockBegin),
            };
        }

        _tokens.Add(new Token(TokenKind.End, "", MarkAt(_source.Length)));
    }

    private int FindTag(int position)
    {
        for (int at = _source.IndexOf('{', position); at >= 0; at = _source.IndexOf('{', at + 1))
        {
            if (at + 1 < _source.Length && _source[at + 1] is '{' or '%' or '#')
            {
                return at;
            }
        }

        return -1;
    }

    private int Tag(int position, int tag, TokenKind begin)
    {
        Data(position, tag, strips: begin == TokenKind.BlockBegin);
        Add(begin, tag, "");
        return _tag.Read(tag + 2 + LengthOfSign(tag + 2), begin);
    }

    private int Comment(int position, int tag)
    {
        Data(position, tag, strips: true);
        int start = tag + 2 + LengthOfSign(tag + 2), end = _source.IndexOf("#}", start, StringComparison.Ordinal);
        return end < 0
            ? throw MarkAt(tag).Error("the comment '{#' has no end '#}'. Close it.")
            : AfterBlock(end, end > start ? _source[end - 1] : ' ');
    }

    private int Raw(int position, int tag, int body)
    {
        Data(position, tag, strips: true);
        for (int at = _source.IndexOf("{%", body, StringComparison.Ordinal); at >= 0;
            at = _source.IndexOf("{%", at + 2, StringComparison.Ordinal))
        {
            int name = SkipSpace(_source, at + 2 + LengthOfSign(at + 2));
            if (string.CompareOrdinal(_source, name, "endraw", 0, 6) != 0)
            {
                continue;
            }

            int end = SkipSpace(_source, name + 6), sign = LengthOfSign(end);
            if (string.CompareOrdinal(_source, end + sign, "%}", 0, 2) == 0)
            {
                Data(body, at, strips: true);
                return AfterBlock(end + sign, sign == 1 ? _source[end] : ' ');
            }
        }

        throw MarkAt(tag).Error("the statement 'raw' has no end '{% endraw %}'. Close it.");
    }

    private int? EndOfRawBegin(int tag)
    {
        int name = SkipSpace(_source, tag + 2 + LengthOfSign(tag + 2));
        if (string.CompareOrdinal(_source, name, "raw", 0, 3) != 0)
        {
            return null;
        }

        int end = SkipSpace(_source, name + 3);
        return string.CompareOrdinal(_source, end, "-%}", 0, 3) == 0 ? SkipSpace(_source, end + 3)
            : string.CompareOrdinal(_source, end, "%}", 0, 2) == 0 ? end + 2
            : null;
    }

    /// <summary>Returns the position after the end of a block or a comment: '-' drops whitespace, '+' keeps the line break.</summary>
    private int AfterBlock(int end, char sign) => TagLexer.AfterEnd(_source, end, sign);

    private int LengthOfSign(int position) => position < _source.Length && _source[position] is '-' or '+' ? 1 : 0;

    // Text before a tag. Blocks and comments drop the blanks between the start of the line and themselves.
    private void Data(int from, int tag, bool strips)
    {
        char sign = tag + 2 < _source.Length ? _source[tag + 2] : ' ';
        ReadOnlySpan<char> text = _source.AsSpan(from, tag - from);
        if (sign == '-')
        {
            text = PythonText.TrimEnd(text);
        }
        else if (sign != '+' && strips)
        {
            int line = text.LastIndexOf('\n') + 1;
            bool isLineStart = line > 0 || from == 0 || _source[from - 1] == '\n';
            if (isLineStart && PythonText.TrimEnd(text[line..]).IsEmpty)
            {
                text = text[..line];
            }
        }

        if (!text.IsEmpty)
        {
            Add(TokenKind.Data, from, text.ToString());
        }
    }

    private void Add(TokenKind kind, int position, string text) => _tokens.Add(new Token(kind, text, MarkAt(position)));

    // Positions only grow, except that a comment's or a raw block's start is named after its text.
    private Mark MarkAt(int position)
    {
        if (position < _counted)
        {
            (_line, _lineStart, _counted) = (1, 0, 0);
        }

        for (; _counted < position; _counted++)
        {
            if (_source[_counted] == '\n')
            {
                _line++;
                _lineStart = _counted + 1;
            }
        }

        return new Mark(_line, position - _lineStart + 1);
    }
}
