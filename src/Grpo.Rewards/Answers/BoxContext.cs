namespace Grpo.Rewards.Answers;

/// <summary>
/// Decides whether the text before a box makes its content a part of something else: a sign, a factor, a comparison or a doubt.
/// </summary>
/// <remarks>It reads backward over blanks, math delimiters, fonts and currencies, and over a bounded number of characters.</remarks>
internal ref struct BoxContext
{
    private const int MaxCharacters = 160;
    private const string Operators = "+-/^×÷·⋅∙±∓√∛∜%‰°<>≤≥≠≈≅≃∼∝|\u2212\u2213\u2013\u2014约約或非负負";
    private const string Skipped = "$`_&{([ \t\u00A0\u2009\u202F\u2007\u3000";

    private ReadOnlySpan<char> _text;
    private bool _touches = true;
    private bool _newLine;
    private bool _inGroup;

    private BoxContext(ReadOnlySpan<char> text)
    {
        _text = text;
    }

    /// <summary>True if the content of a box after this text is not the whole answer: "-\boxed{5}", "2 \cdot \boxed{5}".</summary>
    public static bool IsPartOfMore(ReadOnlySpan<char> before) =>
        new BoxContext(before.Length > MaxCharacters ? before[^MaxCharacters..] : before).IsPartOfMore();

    private bool IsPartOfMore()
    {
        while (!_text.IsEmpty)
        {
            char last = _text[^1];
            if (TrySkipSymbol(last))
            {
                continue;
            }

            if (last == '*')
            {
                if (_text is [.., ' ', '*'] && !_touches && !_text[..^1].Trim(" \n").IsEmpty)
                {
                    return true;
                }

                _text = _text[..^1];
            }
            else if (last == '}')
            {
                if (!TryTakeGroup(out bool? decided))
                {
                    return decided!.Value;
                }
            }
            else if (char.IsAsciiLetter(last) && CommandLength() is > 0 and var length)
            {
                string name = _text[^(length - 1)..].ToString();
                if (LatexCommands.IsInference(name))
                {
                    return false;
                }

                if (!LatexCommands.MayPrecedeBox(name))
                {
                    return !_newLine || LatexCommands.Signs.ContainsKey(name) || LatexCommands.IsRelation(name);
                }

                _text = _text[..^length];
                _touches = false;
            }
            else
            {
                return IsOperand(last);
            }
        }

        return false;
    }

    // Skips blanks, dollar signs, braces, thin spaces and the delimiters of formulas.
    private bool TrySkipSymbol(char last)
    {
        if (last is '\n' or '\r')
        {
            _newLine = true;
            _touches = false;
            _text = _text[..^1];
            return true;
        }

        if (_text is [.., '\\', ',' or ';' or ':' or '!' or '(' or ')' or '[' or ']' or '$' or ' ' or '>'])
        {
            _touches &= last != ' ';
            _text = _text[..^2];
            return true;
        }

        if (!Skipped.Contains(last, StringComparison.Ordinal) && !NumberUnit.IsCurrency(last))
        {
            return false;
        }

        _touches &= !char.IsWhiteSpace(last);
        _text = _text[..^1];
        return true;
    }

    /// <summary>Returns the length of the command at the end of the text, with its backslash, or 0.</summary>
    private readonly int CommandLength()
    {
        int start = _text.Length;
        while (start > 0 && char.IsAsciiLetter(_text[start - 1]))
        {
            start--;
        }

        return start > 0 && _text[start - 1] == '\\' && !(start > 1 && _text[start - 2] == '\\') ? _text.Length - start + 1 : 0;
    }

    /// <summary>Skips a color, a blank or an environment that ends here, or continues inside a text group; otherwise decides.</summary>
    private bool TryTakeGroup(out bool? decided)
    {
        decided = null;
        int depth = 0, open = _text.Length - 1;
        for (; open >= 0; open--)
        {
            depth += _text[open] == '}' ? 1 : _text[open] == '{' ? -1 : 0;
            if (depth == 0)
            {
                break;
            }
        }

        if (open < 0)
        {
            decided = !_newLine;
            return false;
        }

        ReadOnlySpan<char> content = _text[(open + 1)..^1];
        ReadOnlySpan<char> head = _text[..open].TrimEnd("* ");
        var group = new BoxContext(head);
        int length = group.CommandLength();
        string name = length > 0 ? head[^(length - 1)..].ToString() : "";
        if (LatexCommands.Styles.Contains(name))
        {
            _touches &= content.IsWhiteSpace();
            _inGroup |= !content.IsWhiteSpace();
            _text = content.IsWhiteSpace() ? head[..^length] : content.TrimEnd();
            return true;
        }

        if (name is "begin" or "end" or "color" or "textcolor" or "hspace" or "vspace" || (content.IsWhiteSpace() && length == 0))
        {
            _text = head[..^length];
            return true;
        }

        decided = !_newLine;
        return false;
    }

    private readonly bool IsOperand(char last)
    {
        int line = _text.LastIndexOf('\n') + 1;
        ReadOnlySpan<char> row = _text[line..].TrimStart(" \t");
        bool isBullet = row is ['-' or '>' or '+' or '\u2013' or '\u2014'] && !_touches && !_inGroup;
        if (isBullet || IsArrowOrTag())
        {
            return false;
        }

        if (last == '=')
        {
            return _text is [.., '!' or '<' or '>' or '~' or '≈', '='];
        }

        if (_newLine)
        {
            return Operators.Contains(last, StringComparison.Ordinal) && last is not ('>' or '|' or '%' or '°')
                && !row.Trim("-\u2014").IsEmpty;
        }

        if (last == '~')
        {
            return !(_text is [.., var word, _] && char.IsLetter(word));
        }

        if (Operators.Contains(last, StringComparison.Ordinal) || char.IsNumber(last))
        {
            return true;
        }

        bool afterDigit = _text is [.., var head, _] && char.IsNumber(head);
        return last switch
        {
            ',' => afterDigit,
            '.' or ':' or '!' => afterDigit && _touches,
            ')' or ']' => _touches,
            _ => IsFactorOrDoubt(last),
        };
    }

    // "=>", "->", "</reasoning>".
    private readonly bool IsArrowOrTag()
    {
        if (_text is not [.., '>'])
        {
            return false;
        }

        int open = _text.LastIndexOf('<');
        return _text is [.., '=' or '-', '>'] || (open >= 0 && _text[(open + 1)..^1].TrimStart('/') is [var first, ..]
            && char.IsAsciiLetter(first) && !_text[(open + 1)..^1].Contains(' '));
    }

    private readonly bool IsFactorOrDoubt(char last)
    {
        if (last is >= 'Α' and <= 'ω')
        {
            return true;
        }

        ReadOnlySpan<char> rest = _text;
        string word = TakeLastWord(ref rest);
        if (word.Length == 0)
        {
            return false;
        }

        if ((_touches && word is not ("is" or "are" or "equals" or "answer")) || (word.Length == 1 && word is not ("a" or "i")))
        {
            return true;
        }

        bool joins = word is "to" or "and";
        while (UnitWords.IsFiller(word) || word == "of")
        {
            bool isShare = word == "of";
            word = TakeLastWord(ref rest);
            if (isShare)
            {
                return UnitWords.Multiplies(word) || word is "root" or "percent" or "negative" or "opposite" || rest is [.., '%'];
            }
        }

        return word.Length == 0
            ? joins && rest.TrimEnd("$ ") is [.., var digit] && char.IsNumber(digit)
            : UnitWords.Multiplies(word) || UnitWords.IsCardinal(word) || UnitWords.IsDoubtBefore(word);
    }

    private static string TakeLastWord(ref ReadOnlySpan<char> text)
    {
        text = text.TrimEnd(' ');
        int start = text.Length;
        while (start > 0 && (NumberUnit.IsLetter(text[start - 1]) || text[start - 1] is '\'' or '’'))
        {
            start--;
        }

        string word = text[start..].ToString().ToLowerInvariant();
        text = text[..start];
        return word;
    }
}
