using System.Globalization;
using System.Numerics;

namespace Grpo.Rewards.Answers;

/// <summary>
/// Scans "[sign] [currency] number [unit]". The number is an integer, a decimal, a fraction or a mixed number.
/// </summary>
/// <remarks>
/// An integer may have groups of thousands, and a decimal a power of ten: 1.5e3, 1.5×10^3. A fraction is a/b or \frac{a}{b}, and a mixed
/// number is 3 1/2 or 3\frac{1}{2}.
/// </remarks>
internal ref partial struct NumberScanner
{
    private readonly ReadOnlySpan<char> _text;
    private int _position;
    private int _digits;

    private NumberScanner(ReadOnlySpan<char> text)
    {
        _text = text;
    }

    /// <summary>Reads a text that is one number with a sign, a currency and a unit around it.</summary>
    public static bool TryScan(ReadOnlySpan<char> text, out ExactNumber number)
    {
        var scanner = new NumberScanner(text);
        bool negative = scanner.SkipSignAndCurrency(out bool hasCurrency);
        if (!scanner.TryNumber(out number) || !NumberUnit.IsUnit(scanner.Rest, hasCurrency))
        {
            number = default;
            return false;
        }

        number = negative ? new ExactNumber(-number.Numerator, number.Denominator) : number;
        return true;
    }

    /// <summary>Reads the number without a sign that begins at an index of a text.</summary>
    /// <param name="text">The plain text.</param>
    /// <param name="start">The index of the number's first character.</param>
    /// <param name="number">The number, or 0.</param>
    /// <param name="end">The index after the number's last character.</param>
    public static bool TryScanAt(ReadOnlySpan<char> text, int start, out ExactNumber number, out int end)
    {
        var scanner = new NumberScanner(text) { _position = start };
        bool found = scanner.TryNumber(out number);
        end = scanner._position;
        return found;
    }

    private readonly ReadOnlySpan<char> Rest => _text[_position..];

    private readonly char Current => PeekAt(_position);

    private readonly char PeekAt(int index) => (uint)index < (uint)_text.Length ? _text[index] : '\0';

    private bool SkipSignAndCurrency(out bool hasCurrency)
    {
        // There may be one sign and one currency in either order: "-$7" and "$-7", "USD -7" and "-US$7".
        bool signed = false, negative = false;
        hasCurrency = false;
        while (true)
        {
            if (!signed && Current is '-' or '+')
            {
                signed = true;
                negative = Current == '-';
                _position++;
            }
            else if (!hasCurrency && NumberUnit.IsCurrency(Current))
            {
                hasCurrency = true;
                _position++;
            }
            else if (hasCurrency || !TrySkipCurrencyCode())
            {
                return negative;
            }
            else
            {
                hasCurrency = true;
            }

            SkipSpaces();
        }
    }

    private bool TrySkipCurrencyCode()
    {
        int end = _position;
        while (char.IsAsciiLetter(PeekAt(end)))
        {
            end++;
        }

        string code = _text[_position..end].ToString().ToLowerInvariant();
        bool isDollar = PeekAt(end) == '$' && UnitWords.IsCountryOfDollars(code);
        if (!isDollar && !UnitWords.IsCurrencyCode(code))
        {
            return false;
        }

        _position = end + (isDollar || PeekAt(end) == '.' ? 1 : 0);
        return true;
    }

    private bool TryNumber(out ExactNumber number) => TryAnyNumber(out number) && _digits <= AnswerNumber.MaxDigits;

    private bool TryAnyNumber(out ExactNumber number)
    {
        if (StartsLatexFraction())
        {
            number = default;
            return TryLatexFraction(out BigInteger top, out BigInteger bottom) && TryMakeFraction(0, top, bottom, mixed: false, out number);
        }

        ReadOnlySpan<char> integer = ReadInteger(out bool spaced);
        if (integer.IsEmpty)
        {
            return TryDecimalAfter(integer, out number);
        }

        NumberScanner before = this;
        if (TryMixedAfter(integer, out number))
        {
            return true;
        }

        this = before;
        if (!StartsDenominator())
        {
            return TryDecimalAfter(integer, out number);
        }

        // "1 200/300" is 1200/300 to one reader and 1 + 200/300 to another.
        return TryMakeFraction(0, Parse(integer), ReadDenominator(), mixed: false, out number) && !spaced;
    }

    private bool TryDecimalAfter(ReadOnlySpan<char> integer, out ExactNumber number)
    {
        number = default;
        ReadOnlySpan<char> decimals = default;
        if (Current == '.' && char.IsAsciiDigit(PeekAt(_position + 1)))
        {
            _position++;
            decimals = ReadDigits();
        }

        if ((integer.IsEmpty && decimals.IsEmpty) || !TryExponent(out int exponent) || _digits > AnswerNumber.MaxDigits)
        {
            return false;
        }

        BigInteger mantissa = Parse(string.Concat(integer, decimals));
        int power = exponent - decimals.Length;
        number = power >= 0
            ? new ExactNumber(mantissa * BigInteger.Pow(10, power), 1)
            : new ExactNumber(mantissa, BigInteger.Pow(10, -power));
        return true;
    }

    /// <summary>Reads a power of ten if there is one. Its size counts as digits: 1e999 has a thousand digits and is refused.</summary>
    private bool TryExponent(out int exponent)
    {
        exponent = 0;
        int start = StartOfExponent();
        int sign = PeekAt(start) is '-' or '+' ? 1 : 0;
        if (start < 0 || !char.IsAsciiDigit(PeekAt(start + sign)))
        {
            return true;
        }

        bool negative = PeekAt(start) == '-';
        _position = start + sign;
        int before = _digits;
        ReadOnlySpan<char> digits = ReadDigits().TrimStart('0');
        if (digits.Length > 2)
        {
            return false;
        }

        int size = digits.IsEmpty ? 0 : int.Parse(digits, NumberStyles.None, CultureInfo.InvariantCulture);
        _digits = before + size;
        exponent = negative ? -size : size;
        return true;
    }

    // The index where the exponent of "1.5e3" or "1.5 × 10^3" begins, or -1.
    private readonly int StartOfExponent()
    {
        if (Current is 'e' or 'E')
        {
            return _position + 1;
        }

        ReadOnlySpan<char> rest = Rest.TrimStart(' ');
        if (rest is not ['×' or '·' or '*' or 'x' or 'X', ..] || !rest[1..].TrimStart(' ').StartsWith("10^"))
        {
            return -1;
        }

        return _position + Rest.IndexOf("10^") + 3;
    }

    /// <summary>Reads digits, or up to three digits and then groups of exactly three, each after a comma or space.</summary>
    private ReadOnlySpan<char> ReadInteger(out bool spaced)
    {
        spaced = false;
        ReadOnlySpan<char> first = ReadDigits();
        if (first.Length is 0 or > 3 || !StartsGroup())
        {
            return first;
        }

        string digits = first.ToString();
        while (StartsGroup())
        {
            spaced |= Current == ' ';
            _position++;
            digits += ReadDigits().ToString();
        }

        return digits;
    }

    private readonly bool StartsGroup() => Current is ',' or ' '
        && char.IsAsciiDigit(PeekAt(_position + 1)) && char.IsAsciiDigit(PeekAt(_position + 2))
        && char.IsAsciiDigit(PeekAt(_position + 3)) && !char.IsAsciiDigit(PeekAt(_position + 4));

    private ReadOnlySpan<char> ReadDigits()
    {
        int start = _position;
        while (char.IsAsciiDigit(Current))
        {
            _position++;
        }

        _digits += _position - start;
        return _text[start.._position];
    }

    private void SkipSpaces()
    {
        while (Current == ' ')
        {
            _position++;
        }
    }

    private static BigInteger Parse(ReadOnlySpan<char> digits) => BigInteger.Parse(digits, NumberStyles.None, CultureInfo.InvariantCulture);
}
