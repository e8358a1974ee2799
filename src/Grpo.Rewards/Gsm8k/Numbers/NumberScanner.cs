using System.Globalization;
using System.Numerics;

namespace Grpo.Rewards;

/// <summary>
/// Scans "[sign] [currency] number [unit]" from start to end. The number is an integer with or without thousands, a decimal with
/// or without an exponent, a fraction a/b, or a mixed number "3 1/2".
/// </summary>
internal ref struct NumberScanner
{
    private readonly ReadOnlySpan<char> _text;
    private int _position;
    private int _digits;

    private NumberScanner(ReadOnlySpan<char> text)
    {
        _text = text;
    }

    public static bool TryScan(ReadOnlySpan<char> text, out ExactNumber number)
    {
        var scanner = new NumberScanner(text);
        bool negative = scanner.SkipSignAndCurrency();
        if (!scanner.TryNumber(out number) || scanner._digits > AnswerNumber.MaxDigits || !NumberUnit.IsUnit(scanner.Rest))
        {
            number = default;
            return false;
        }

        number = negative ? new ExactNumber(-number.Numerator, number.Denominator) : number;
        return true;
    }

    private readonly ReadOnlySpan<char> Rest => _text[_position..];

    private readonly char Current => PeekAt(_position);

    private readonly char PeekAt(int index) => index < _text.Length ? _text[index] : '\0';

    private bool SkipSignAndCurrency()
    {
        // One sign and one currency in either order: "-$7" and "$-7".
        bool signed = false, currency = false, negative = false;
        while (true)
        {
            if (!signed && Current is '-' or '+')
            {
                signed = true;
                negative = Current == '-';
            }
            else if (!currency && NumberUnit.IsCurrency(Current))
            {
                currency = true;
            }
            else
            {
                return negative;
            }

            _position++;
            SkipSpaces();
        }
    }

    private bool TryNumber(out ExactNumber number)
    {
        number = default;
        ReadOnlySpan<char> integer = ReadInteger(out bool spaced);
        if (!integer.IsEmpty && Current == ' ' && char.IsAsciiDigit(PeekAt(_position + 1)))
        {
            _position++;
            return TryFractionAfter(integer, ReadDigits(), mixed: true, out number);
        }

        if (!integer.IsEmpty && StartsDenominator())
        {
            // "1 200/300" is 1200/300 to one reader and 1 + 200/300 to another.
            return !spaced && TryFractionAfter("0", integer, mixed: false, out number);
        }

        return TryDecimalAfter(integer, out number);
    }

    private bool TryFractionAfter(ReadOnlySpan<char> whole, ReadOnlySpan<char> numerator, bool mixed, out ExactNumber number)
    {
        number = default;
        if (!StartsDenominator())
        {
            return false;
        }

        SkipSpaces();
        _position++;
        SkipSpaces();
        ReadOnlySpan<char> denominator = ReadDigits();
        if (_digits > AnswerNumber.MaxDigits)
        {
            return false;
        }

        BigInteger top = Parse(numerator), bottom = Parse(denominator);
        if (bottom.IsZero || (mixed && top >= bottom))
        {
            return false;
        }

        number = new ExactNumber((Parse(whole) * bottom) + top, bottom);
        return true;
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

    /// <summary>The exponent's size counts as digits: 1e999 is a number of a thousand digits and so refused.</summary>
    private bool TryExponent(out int exponent)
    {
        exponent = 0;
        int sign = PeekAt(_position + 1) is '-' or '+' ? 1 : 0;
        if (Current != 'e' || !char.IsAsciiDigit(PeekAt(_position + 1 + sign)))
        {
            return true;
        }

        bool negative = PeekAt(_position + 1) == '-';
        _position += 1 + sign;
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

    /// <summary>Digits, or up to three digits and then groups of exactly three after a comma or space.</summary>
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

    /// <summary>A slash and a digit, spaces allowed; a slash and a letter begin a unit.</summary>
    private readonly bool StartsDenominator()
    {
        ReadOnlySpan<char> rest = Rest.TrimStart(' ');
        return rest is ['/', ..] && rest[1..].TrimStart(' ') is [>= '0' and <= '9', ..];
    }

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
