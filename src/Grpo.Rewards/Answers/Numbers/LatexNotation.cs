using System.Text;

namespace Grpo.Rewards.Answers;

/// <summary>
/// Converts LaTeX to plain text in one pass: removes fonts, spaces, math delimiters and escapes, and writes "1{,}080" as "1,080" and
/// "cm^{2}" and "cm²" as "cm^2".
/// </summary>
/// <remarks>
/// A fraction stays for <see cref="NumberScanner"/>. An unknown command stays as it is, and so the text is not a number. Removed parts
/// leave a gap of two blanks, so that digits never join: "4\text{2}" does not become 42.
/// </remarks>
internal sealed class LatexNotation
{
    /// <summary>The beginning of a fraction in plain text. Its two arguments follow.</summary>
    public const string Fraction = @"\frac";

    private const string Gap = "  ";
    private const string AsciiLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    private const string Superscripts = "⁰¹²³⁴⁵⁶⁷⁸⁹⁻";
    private const string SuperscriptsInAscii = "0123456789-";

    private enum Brace
    {
        Kept,
        Gap,
        Dropped,
    }

    private readonly string _text;
    private readonly StringBuilder _plain;
    private readonly Stack<Brace> _open = [];
    private readonly bool _hasMathDollars;
    private int _position;
    private bool _hasText;

    private LatexNotation(string text, bool isRunningText)
    {
        _text = text;
        _plain = new StringBuilder(text.Length + 8);
        _hasMathDollars = !isRunningText && MathDollars.EncloseFormula(text);
    }

    /// <summary>Converts a text to plain text.</summary>
    /// <param name="text">The folded text, of bounded length.</param>
    /// <param name="isRunningText">
    /// True if the text is a piece of running text. Its dollar signs then stay, because their number in a piece means nothing.
    /// </param>
    /// <param name="isWhole">True if every opened brace is closed.</param>
    public static string ToPlain(string text, bool isRunningText, out bool isWhole)
    {
        var notation = new LatexNotation(text, isRunningText);
        while (notation._position < text.Length)
        {
            notation.TakeNext();
        }

        isWhole = notation._open.Count == 0;
        return notation._plain.ToString();
    }

    /// <summary>True for the superscript digits and their minus sign.</summary>
    public static bool IsSuperscript(char character) => Superscripts.Contains(character, StringComparison.Ordinal);

    private void TakeNext()
    {
        char character = _text[_position];
        if (character == '\\')
        {
            TakeCommand();
        }
        else if (character == '{')
        {
            TakeOpenBrace();
        }
        else if (character == '}')
        {
            TakeCloseBrace();
        }
        else if (character == '^')
        {
            TakePower();
        }
        else if (IsSuperscript(character))
        {
            TakeSuperscript();
        }
        else if (character == '$' && _hasMathDollars)
        {
            Write(Gap);
        }
        else if (character == '~' && _hasText && IsTie())
        {
            Write(" ");
        }
        else
        {
            _hasText |= character != ' ';
            _plain.Append(character);
            _position++;
        }
    }

    private void TakeCommand()
    {
        int end = _position + 1;
        while (end < _text.Length && char.IsAsciiLetter(_text[end]))
        {
            end++;
        }

        string name = _text[(_position + 1)..end];
        if (name.Length == 0)
        {
            TakeSymbol(end < _text.Length ? _text[end] : '\0');
            return;
        }

        if (LatexCommands.Styles.Contains(name) && SkipTo('{', end, out int brace))
        {
            _position = brace;
            _open.Push(Brace.Gap);
            Write(Gap);
        }
        else if (LatexCommands.Gaps.Contains(name))
        {
            // The first argument of a color is its name, and that of a blank is its width.
            bool colored = name == "hspace" || name.EndsWith("color", StringComparison.Ordinal);
            int close = colored && SkipTo('{', end, out int open) ? _text.IndexOf('}', open) : end - 1;
            _position = close < 0 ? end - 1 : close;
            Write(Gap);
            if (name == "textcolor" && SkipTo('{', _position, out brace))
            {
                _position = brace + 1;
                _open.Push(Brace.Gap);
            }
        }
        else if (LatexCommands.Fractions.Contains(name))
        {
            Write(Fraction, end - _position);
        }
        else if (LatexCommands.Spaces.Contains(name))
        {
            SkipBlanks(ref end);
            Write(" ", end - _position);
        }
        else if (LatexCommands.Signs.TryGetValue(name, out string? sign))
        {
            // LaTeX writes a degree as a power: ^\circ.
            _plain.Length -= sign == "°" && _plain is [.., '^'] ? 1 : 0;
            Write(sign, end - _position);
        }
        else
        {
            Write(_text[_position..end], end - _position);
        }
    }

    private void TakeSymbol(char symbol)
    {
        switch (symbol)
        {
            case ',' or ':' or ';' or '>' or ' ' or '\0':
                Write(" ", symbol == '\0' ? 1 : 2);
                break;
            case '!':
                // "1,\!080" removes the space after the comma.
                Write(IsDigit(_position - 1) && IsDigit(_position + 2) ? Gap : "", 2);
                break;
            case '(' or ')' or '[' or ']':
                Write(Gap, 2);
                break;
            case '\\':
                Write("\n", 2);
                break;
            case '$' or '%' or '#' or '&' or '_':
                Write(symbol.ToString(), 2);
                break;
            default:
                Write(@"\");
                break;
        }
    }

    private void TakeOpenBrace()
    {
        ReadOnlySpan<char> rest = _text.AsSpan(_position);
        if (rest.StartsWith("{,}"))
        {
            Write(",", 3);
        }
        else if (rest.StartsWith(@"{\,}"))
        {
            Write(" ", 4);
        }
        else if (IsArgument())
        {
            _open.Push(Brace.Kept);
            Write("{");
        }
        else
        {
            _open.Push(Brace.Gap);
            Write(Gap);
        }
    }

    /// <summary>True if a brace opens an argument: after a command, another argument, or the 1 of "\frac1".</summary>
    private bool IsArgument()
    {
        string before = _plain.ToString().TrimEnd(' ');
        return before is [.., '}' or ']' or '_' or '^' or '\\']
            || before.LastIndexOf('\\') is >= 0 and var command && IsOpenCommand(before, command);
    }

    // "\frac" or "\foo", with or without a single digit after it.
    private static bool IsOpenCommand(string before, int command)
    {
        ReadOnlySpan<char> rest = before.AsSpan(command + 1).TrimStart(AsciiLetters);
        rest = rest.TrimStart(' ');
        return rest.IsEmpty || (rest.Length == 1 && char.IsAsciiDigit(rest[0]));
    }

    private void TakeCloseBrace() => Write(!_open.TryPop(out Brace brace) || brace == Brace.Kept ? "}" : Gap);

    // A power follows its base directly, so blanks that a font left between them are removed.
    private void TakePower()
    {
        TrimBlanks();
        int next = _position + 1;
        if (_text.AsSpan(_position).StartsWith("^{o}"))
        {
            Write("°", 4);
        }
        else if (SkipTo('{', next, out int brace))
        {
            _open.Push(Brace.Dropped);
            Write("^", brace + 1 - _position);
        }
        else
        {
            SkipBlanks(ref next);
            Write("^", next - _position);
        }
    }

    private void TakeSuperscript()
    {
        TrimBlanks();
        Write("^", 0);
        while (_position < _text.Length && Superscripts.IndexOf(_text[_position], StringComparison.Ordinal) is >= 0 and var index)
        {
            Write(SuperscriptsInAscii[index].ToString());
        }

        Write(Gap, 0);
    }

    // A tie stands between a number and its unit. Before a number, between two, or before an equals sign, a tilde means "about" or "to".
    private bool IsTie() => _position + 1 < _text.Length && (char.IsAsciiLetter(_text[_position + 1]) || _text[_position + 1] == '\\');

    private void Write(string plain, int length = 1)
    {
        _hasText |= !string.IsNullOrWhiteSpace(plain);
        _plain.Append(plain);
        _position += length;
    }

    private void TrimBlanks()
    {
        while (_plain is [.., ' '])
        {
            _plain.Length--;
        }
    }

    private bool SkipTo(char wanted, int from, out int index)
    {
        SkipBlanks(ref from);
        index = from;
        return from < _text.Length && _text[from] == wanted;
    }

    private void SkipBlanks(ref int index)
    {
        while (index < _text.Length && _text[index] == ' ')
        {
            index++;
        }
    }

    private bool IsDigit(int index) => index >= 0 && index < _text.Length && char.IsAsciiDigit(_text[index]);
}
