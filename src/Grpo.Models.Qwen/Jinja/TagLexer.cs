namespace Grpo.Models.Qwen.Jinja;

/// <summary>Splits the inside of a tag into names, strings, numbers and operators.</summary>
/// <param name="source">The template with normalized line ends.</param>
/// <param name="tokens">The list to add the tokens to.</param>
/// <param name="mark">Returns the line and column of a position.</param>
internal sealed class TagLexer(string source, List<Token> tokens, Func<int, Mark> mark)
{
    private static readonly string[] Operators =
    [
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".", ":", "|",
        ",", ";",
    ];

    private readonly Stack<char> _open = new();

    /// <summary>Reads the tokens of a tag including its end.</summary>
    /// <param name="position">The position after the begin of the tag.</param>
    /// <param name="begin">The kind of the tag.</param>
    /// <returns>The position after the tag, and after the whitespace that its end drops.</returns>
    public int Read(int position, TokenKind begin)
    {
        _open.Clear();
        while (position < source.Length)
        {
            if (_open.Count == 0 && End(position, begin) is { } after)
            {
                return after;
            }

            char first = source[position];
            position = PythonText.IsSpace(first) ? Lexer.SkipSpace(source, position)
                : char.IsAsciiDigit(first) ? Number(position)
                : IsNamePart(first) ? Name(position)
                : first is '\'' or '"' ? Text(position)
                : Operator(position);
        }

        return position;
    }

    /// <summary>Returns the position after the end of a block: '-' drops whitespace, '+' keeps the line break.</summary>
    internal static int AfterEnd(string source, int end, char sign) => sign switch
    {
        '-' => Lexer.SkipSpace(source, end + 2),
        '+' => end + 2,
        _ => end + 2 < source.Length && source[end + 2] == '\n' ? end + 3 : end + 2,
    };

    private int? End(int position, TokenKind begin)
    {
        bool isBlock = begin == TokenKind.BlockBegin;
        char sign = source[position] is '-' || (isBlock && source[position] is '+') ? source[position] : ' ';
        int end = sign == ' ' ? position : position + 1;
        if (string.CompareOrdinal(source, end, isBlock ? "%}" : "}}", 0, 2) != 0)
        {
            return null;
        }

        tokens.Add(new Token(isBlock ? TokenKind.BlockEnd : TokenKind.VariableEnd, "", mark(position)));
        return isBlock || sign == '-' ? AfterEnd(source, end, sign) : end + 2;
    }

    private static bool IsNamePart(char letter) => letter == '_' || char.IsLetterOrDigit(letter);

    private int Name(int position)
    {
        int end = position;
        while (end < source.Length && IsNamePart(source[end]))
        {
            end++;
        }

        return Add(TokenKind.Name, position, end);
    }

    // Jinja's rule: 0b1, 0o7, 0xF, 12, 1_000, 1.5, 1e5. A leading zero is no part of a number.
    private int Number(int position)
    {
        int end = Digits(position);
        if (source[position] == '0' && position + 1 < source.Length && source[position + 1] is 'b' or 'B' or 'o' or 'O' or 'x' or 'X')
        {
            throw mark(position).Error("binary, octal and hexadecimal numbers are not supported. Write the number in decimal.");
        }

        bool isAfterDot = position > 0 && source[position - 1] == '.';
        int fraction = end < source.Length && source[end] == '.' ? Digits(end + 1) : end;
        fraction = fraction == end + 1 ? end : fraction;
        int exponent = Exponent(fraction);
        if (!isAfterDot && exponent > end)
        {
            return Add(TokenKind.Float, position, exponent);
        }

        if (source[position] == '0')
        {
            end = position;
            while (end < source.Length && (source[end] == '0' || (source[end] == '_' && end + 1 < source.Length && source[end + 1] == '0')))
            {
                end++;
            }
        }

        return Add(TokenKind.Integer, position, end);
    }

    private int Exponent(int position)
    {
        if (position >= source.Length || source[position] is not ('e' or 'E'))
        {
            return position;
        }

        int start = position + 1 < source.Length && source[position + 1] is '+' or '-' ? position + 2 : position + 1;
        int end = Digits(start);
        return end > start ? end : position;
    }

    private int Digits(int position)
    {
        int end = position;
        while (end < source.Length && (char.IsAsciiDigit(source[end])
            || (source[end] == '_' && end > position && end + 1 < source.Length && char.IsAsciiDigit(source[end + 1]))))
        {
            end++;
        }

        return end;
    }

    private int Text(int position)
    {
        for (int end = position + 1; end < source.Length; end++)
        {
            if (source[end] == source[position])
            {
                string text = StringEscapes.Decode(source.AsSpan(position + 1, end - position - 1), mark(position));
                tokens.Add(new Token(TokenKind.Text, text, mark(position)));
                return end + 1;
            }

            end += source[end] == '\\' ? 1 : 0;
        }

        throw mark(position).Error($"the string that begins with {source[position]} has no end. Close the string.");
    }

    private int Operator(int position)
    {
        foreach (string operation in Operators)
        {
            if (string.CompareOrdinal(source, position, operation, 0, operation.Length) == 0)
            {
                Balance(position, operation[0]);
                return Add(TokenKind.Operator, position, position + operation.Length);
            }
        }

        throw mark(position).Error($"the character '{source[position]}' has no meaning here.");
    }

    private void Balance(int position, char bracket)
    {
        if (bracket is '(' or '[' or '{')
        {
            _open.Push(bracket switch { '(' => ')', '[' => ']', _ => '}' });
        }
        else if (bracket is ')' or ']' or '}' && (!_open.TryPop(out char wanted) || wanted != bracket))
        {
            throw mark(position).Error($"'{bracket}' closes no bracket that is open.");
        }
    }

    private int Add(TokenKind kind, int position, int end)
    {
        tokens.Add(new Token(kind, source[position..end], mark(position)));
        return end;
    }
}
