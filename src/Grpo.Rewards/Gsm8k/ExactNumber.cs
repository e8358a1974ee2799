using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Numerics;

namespace Grpo.Rewards;

/// <summary>A rational number in lowest terms. Equality is exact: 42.00 equals 84/2, and nothing is ever rounded.</summary>
public readonly record struct ExactNumber
{
    // One less than the denominator, so that default(ExactNumber) is the number 0 and not 0/0.
    private readonly BigInteger _denominatorLessOne;

    /// <summary>numerator / denominator, reduced.</summary>
    /// <param name="numerator">Any integer.</param>
    /// <param name="denominator">Any integer but 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">The denominator is 0.</exception>
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

    /// <summary>The numerator; carries the sign.</summary>
    public BigInteger Numerator { get; }

    /// <summary>The denominator, 1 or more.</summary>
    public BigInteger Denominator => _denominatorLessOne + 1;

    /// <summary>Reads the one number of a short text as people and models write it: "1,080", "$42.00", "84/2", "x = 42 apples".</summary>
    /// <param name="text">At most 64 characters with at most 40 digits, white space around it aside.</param>
    /// <param name="number">The number, or 0.</param>
    /// <returns>False when the text is longer, has no number, a second number, or anything else that leaves a doubt. Never throws.</returns>
    /// <remarks>
    /// Thousands are three digits after a comma or a blank, also as LaTeX writes them. Fractions, mixed numbers and powers of ten are read
    /// exactly. Percent signs and units are dropped without rescaling. A scale or a factor behind the number ("42 thousand", "42k", "5x",
    /// "5 thirds") is refused and not applied. Digits other than ASCII and full-width ones are refused. The text is never evaluated: of "40
    /// + 2 = 42" only the right side counts.
    /// </remarks>
    public static bool TryParse([NotNullWhen(true)] string? text, out ExactNumber number) =>
        AnswerNumber.Read(text, out number) == NumberReading.Number;

    /// <summary>"42", or "7/2" when it is not an integer. The same in every culture.</summary>
    public override string ToString() => _denominatorLessOne.IsZero
        ? Numerator.ToString(CultureInfo.InvariantCulture)
        : string.Create(CultureInfo.InvariantCulture, $"{Numerator}/{Denominator}");
}
