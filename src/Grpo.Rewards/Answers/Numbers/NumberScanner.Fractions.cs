using System.Numerics;

namespace Grpo.Rewards.Answers;

/// <content>Fractions and mixed numbers, with a slash and in LaTeX.</content>
internal ref partial struct NumberScanner
{
    private bool TryMixedAfter(ReadOnlySpan<char> whole, out ExactNumber number)
    {
        number = default;
        if (Current == ' ' && char.IsAsciiDigit(PeekAt(_position + 1)))
        {
            _position++;
            ReadOnlySpan<char> numerator = ReadDigits();
            return StartsDenominator() && TryMakeFraction(Parse(whole), Parse(numerator), ReadDenominator(), mixed: true, out number);
        }

        SkipSpaces();
        return StartsLatexFraction() && TryLatexFraction(out BigInteger top, out BigInteger bottom)
            && TryMakeFraction(Parse(whole), top, bottom, mixed: true, out number);
    }

    private readonly bool TryMakeFraction(BigInteger whole, BigInteger top, BigInteger bottom, bool mixed, out ExactNumber number)
    {
        number = default;
        if (bottom.IsZero || _digits > AnswerNumber.MaxDigits || (mixed && (top.Sign < 0 || top >= bottom)))
        {
            return false;
        }

        number = new ExactNumber((whole * bottom) + top, bottom);
        return true;
    }

    private readonly bool StartsLatexFraction() => Rest.StartsWith(LatexNotation.Fraction, StringComparison.Ordinal);

    private bool TryLatexFraction(out BigInteger top, out BigInteger bottom)
    {
        _position += LatexNotation.Fraction.Length;
        bottom = default;
        return TryArgument(out top) && TryArgument(out bottom);
    }

    /// <summary>Reads an integer in braces, or a single digit without braces: \frac{84}{2}, \frac12.</summary>
    private bool TryArgument(out BigInteger value)
    {
        value = default;
        SkipSpaces();
        if (char.IsAsciiDigit(Current))
        {
            value = Current - '0';
            _position++;
            _digits++;
            return true;
        }

        if (Current != '{')
        {
            return false;
        }

        _position++;
        SkipSpaces();
        bool negative = Current == '-';
        _position += negative ? 1 : 0;
        ReadOnlySpan<char> digits = ReadInteger(out _);
        SkipSpaces();
        if (digits.IsEmpty || digits.Length > AnswerNumber.MaxDigits || Current != '}')
        {
            return false;
        }

        _position++;
        value = negative ? -Parse(digits) : Parse(digits);
        return true;
    }

    private BigInteger ReadDenominator()
    {
        SkipSpaces();
        _position++;
        SkipSpaces();
        return Parse(ReadDigits());
    }

    /// <summary>True if a slash and a digit follow, with or without spaces. A slash and a letter begin a unit.</summary>
    private readonly bool StartsDenominator()
    {
        ReadOnlySpan<char> rest = Rest.TrimStart(' ');
        return rest is ['/', ..] && rest[1..].TrimStart(' ') is [>= '0' and <= '9', ..];
    }
}
