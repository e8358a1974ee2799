using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Numerics;

namespace Grpo.Rewards.Answers;

/// <summary>A rational number in lowest terms. Equality is exact: 42.00 equals 84/2, and nothing is rounded.</summary>
public readonly record struct ExactNumber
{
    // The denominator minus one, so that default(ExactNumber) is the number 0 and not 0/0.
    private readonly BigInteger _denominatorLessOne;

    /// <summary>Creates the fraction numerator / denominator in lowest terms.</summary>
    /// <param name="numerator">The numerator. Any integer.</param>
    /// <param name="denominator">The denominator. Any integer except 0.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="denominator"/> is 0.</exception>
    public ExactNumber(BigInteger numerator, BigInteger denominator)
    {
        if (denominator.IsZero)
        {
            throw new ArgumentOutOfRangeException(nameof(denominator), denominator, "The denominator must not be 0.");
        }

        BigInteger divisor = BigInteger.GreatestCommonDivisor(numerator, denominator) * denominator.Sign;
        Numerator = numerator / divisor;
        _denominatorLessOne = (denominator / divisor) - 1;
    }

    /// <summary>The numerator in lowest terms, with the sign of the number.</summary>
    public BigInteger Numerator { get; }

    /// <summary>The denominator in lowest terms. 1 or more.</summary>
    public BigInteger Denominator => _denominatorLessOne + 1;

    /// <summary>Parses the one number in a short text as people and models write it: "1,080", "$42.00", "84/2", "x = 42 apples".</summary>
    /// <param name="text">The text. At most 64 characters and 40 digits, not counting white space around it.</param>
    /// <param name="number">The number, or 0 if there is none.</param>
    /// <returns>
    /// True if the text holds exactly one number. False if it is too long, has no number or two, or leaves any doubt. Never throws.
    /// </returns>
    /// <remarks>
    /// Groups of thousands are three digits after a comma or a blank, including LaTeX's forms of them. Fractions, mixed numbers and powers
    /// of ten are read exactly. Percent signs and units are dropped without rescaling. A scale or a factor after the number ("42 thousand",
    /// "42k", "5x", "5 thirds") is refused, not applied. Digits other than ASCII and full-width ones are refused. The text is never
    /// evaluated: only the right side of "40 + 2 = 42" counts.
    /// </remarks>
    public static bool TryParse([NotNullWhen(true)] string? text, out ExactNumber number) =>
        AnswerNumber.Read(text, out number) == NumberReading.Number;

    /// <summary>Returns the number as text: "42", or "7/2" if it is not an integer. Does not depend on the culture.</summary>
    public override string ToString() => _denominatorLessOne.IsZero
        ? Numerator.ToString(CultureInfo.InvariantCulture)
        : string.Create(CultureInfo.InvariantCulture, $"{Numerator}/{Denominator}");
}
