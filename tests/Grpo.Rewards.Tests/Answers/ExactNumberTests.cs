using System.Globalization;
using System.Numerics;
using CsCheck;
using Grpo.Rewards.Answers;

namespace Grpo.Rewards.Tests;

public sealed class ExactNumberTests
{
    [Theory]
    // Signs, currencies, percent, stops
    [InlineData("-$7", "-7")]
    [InlineData("$ -7", "-7")]
    [InlineData("\u20147", "-7")]
    [InlineData("\u20137", "-7")]
    [InlineData("\uFE637", "-7")]
    [InlineData("\uFF0D7", "-7")]
    [InlineData("-0", "0")]
    [InlineData("₹42", "42")]
    [InlineData("42 €", "42")]
    [InlineData("$42$", "42")]
    [InlineData(@"42\%", "42")]
    [InlineData("42 percent", "42")]
    [InlineData("42% of the apples", "42")]
    [InlineData("42!", "42")]
    [InlineData("= 42", "42")]
    // Full-width and small forms
    [InlineData("１，０８０．５０", "2161/2")]
    [InlineData("＄４２％", "42")]
    [InlineData("﹩42﹒", "42")]
    [InlineData("\u3000４２", "42")]
    // Thousands
    [InlineData("1,234,567.25", "4938269/4")]
    [InlineData("12 345 678", "12345678")]
    // Markdown and LaTeX
    [InlineData("**42**", "42")]
    [InlineData("**42** apples.", "42")]
    [InlineData("`$42`", "42")]
    [InlineData("__42__.", "42")]
    [InlineData(@"\boxed{42}", "42")]
    [InlineData(@"$\boxed{-42}$", "-42")]
    [InlineData(@"42\text{ apples}", "42")]
    [InlineData(@"40 + 2 = \boxed{42}", "42")]
    [InlineData(@"\boxed{40 + 2 = 42}", "42")]
    // Phrases and chains
    [InlineData("The answer is 42.", "42")]
    [InlineData("So the final answer is: $42", "42")]
    [InlineData("ANSWER: 42", "42")]
    [InlineData("**Answer:** 42", "42")]
    [InlineData("Total cost ($) = 42", "42")]
    [InlineData("20 + 22 = 40 + 2 = 42", "42")]
    [InlineData("$40 + $2 = $42", "42")]
    [InlineData("2 x 21 = 42", "42")]
    [InlineData("2*21=42", "42")]
    [InlineData(@"2 \times 21 = 42", "42")]
    [InlineData("40 apples + 2 apples = 42 apples", "42")]
    // Units
    [InlineData("42 km/h", "42")]
    [InlineData("42kg", "42")]
    [InlineData("42 sq. ft.", "42")]
    [InlineData("$42/hour", "42")]
    [InlineData("42 (clips)", "42")]
    [InlineData("42°", "42")]
    [InlineData("42 eggs", "42")]
    [InlineData("42 cafe\u0301s", "42")]
    // Fractions, mixed numbers, exponents
    [InlineData("-84 / 2", "-42")]
    [InlineData(@"\frac{84}{2}", "42")]
    [InlineData("1,080/2", "540")]
    [InlineData("2/4 mile", "1/2")]
    [InlineData("-3 1/2", "-7/2")]
    [InlineData("1.5e3", "1500")]
    [InlineData("15E-1", "3/2")]
    [InlineData("4e+1", "40")]
    [InlineData("4e0", "4")]
    public void TryParse_reads_what_people_write(string text, string? expected)
    {
        bool parsed = ExactNumber.TryParse(text, out ExactNumber number);

        Assert.Equal(expected, parsed ? number.ToString() : null);
    }

    [Theory]
    // Digits that must not come together
    [InlineData("4*2")]
    [InlineData("4 * 200")]
    [InlineData("4 *200")]
    [InlineData("4_2")]
    [InlineData("4**2")]
    [InlineData("4`2")]
    [InlineData(@"4\text{2}")]
    [InlineData(@"1\text{ }080")]
    [InlineData(@"1 \boxed{080}")]
    [InlineData("1  080")]
    [InlineData("1\n080")]
    [InlineData("4\u200B2")]
    [InlineData("4 2")]
    [InlineData("4.*5")]
    [InlineData("4*.5")]
    // Digits of other kinds
    [InlineData("4²")]
    [InlineData("²")]
    [InlineData("½")]
    [InlineData("3½")]
    [InlineData("①")]
    [InlineData("٤٢")]
    [InlineData("४२")]
    [InlineData("Ⅻ")]
    [InlineData("\U0001D7D2\U0001D7D0")]
    [InlineData("42 \U0001F34E")]
    [InlineData("\uD83D")]
    [InlineData("42\uDC00")]
    [InlineData("x1 = 42")]
    // Grouping
    [InlineData("10,80")]
    [InlineData("1,08")]
    [InlineData("1080,000")]
    [InlineData("1,0800")]
    [InlineData(",080")]
    [InlineData("1.080.000")]
    [InlineData("1.080,00")]
    [InlineData("1 200/300")]
    // Two signs, two numbers, ranges, dates
    [InlineData("--7")]
    [InlineData("+-7")]
    [InlineData("-$-7")]
    [InlineData("$$7")]
    [InlineData("7-")]
    [InlineData("41-42")]
    [InlineData("41\u201342")]
    [InlineData("41 or 42")]
    [InlineData("12:30")]
    [InlineData("2/3/2024")]
    [InlineData("41 = 42")]
    [InlineData("41, 40 + 2 = 42")]
    [InlineData("41 or 40 + 2 = 42")]
    [InlineData("x = 41, y = 42")]
    [InlineData("x != 42")]
    [InlineData("x >= 42")]
    [InlineData("42 =")]
    // Phrases that change the number
    [InlineData("42 thousand")]
    [InlineData("42k")]
    [InlineData("42 million dollars")]
    [InlineData("42 and a half")]
    [InlineData("42 and a quarter")]
    [InlineData("42 or forty-three")]
    [InlineData("42 squared")]
    [InlineData("42?")]
    [InlineData("42, maybe")]
    [InlineData("about 42")]
    [InlineData("not 42")]
    [InlineData("the answer is not 42")]
    // Not numbers
    [InlineData("")]
    [InlineData(" ")]
    [InlineData(null)]
    [InlineData(".")]
    [InlineData("-")]
    [InlineData("$")]
    [InlineData("%")]
    [InlineData("...")]
    [InlineData("NaN")]
    [InlineData("Infinity")]
    [InlineData("∞")]
    [InlineData("forty-two")]
    [InlineData("0x2A")]
    [InlineData("(42)")]
    [InlineData(@"\boxed{42")]
    [InlineData("1/0")]
    [InlineData("0/0")]
    [InlineData("1.5/2")]
    [InlineData("1/-2")]
    [InlineData("3 5/2")]
    [InlineData("1e999")]
    [InlineData("1e-999")]
    [InlineData("1e99999999999999999999")]
    public void TryParse_refuses_what_leaves_a_doubt(string? text) => Assert.False(ExactNumber.TryParse(text, out _));

    [Fact]
    public void TryParse_bounds_characters_and_digits()
    {
        Assert.True(ExactNumber.TryParse(new string('9', 40), out _));
        Assert.False(ExactNumber.TryParse(new string('9', 41), out _));
        Assert.True(ExactNumber.TryParse("1e39", out ExactNumber large));
        Assert.Equal(BigInteger.Pow(10, 39), large.Numerator);
        Assert.False(ExactNumber.TryParse("1e40", out _));
        Assert.True(ExactNumber.TryParse("42" + new string(' ', 100), out _));
        Assert.True(ExactNumber.TryParse("42 " + new string('a', 61), out _));
        Assert.False(ExactNumber.TryParse("42 " + new string('a', 62), out _));
    }

    [Fact]
    public void TryParse_never_throws_and_never_depends_on_the_culture()
    {
        const string Alphabet = "0123456789  ,.-+$€%/=eExX*_`\\{}()boxedtexanswr is:!?\n\u00A0\u202F\u2212½²４，．\uD83D\uDF4Eİı٤";
        Gen.Char[Alphabet].Array[0, 70].Select(characters => new string(characters)).Sample(
            text =>
            {
                var readings = CultureScope.Names.Select(name =>
                {
                    using var scope = new CultureScope(name);
                    return ExactNumber.TryParse(text, out ExactNumber number) ? number : (ExactNumber?)null;
                }).Distinct().ToList();
                return readings.Count == 1;
            },
            iter: 20_000,
            seed: "0000Kf6f2L61");
    }

    [Fact]
    public void TryParse_reads_back_every_way_to_write_an_integer() => Gen.Long[-999_999_999_999, 999_999_999_999].Sample(value =>
    {
        string plain = value.ToString(CultureInfo.InvariantCulture);
        string grouped = value.ToString("N0", CultureInfo.InvariantCulture);
        string[] texts =
            [plain, grouped, grouped.Replace(',', ' '), plain + ".00", $"${grouped}", $"**{plain}**", $"x = {plain} apples.", $"{plain}/1"];
        return texts.All(text => ExactNumber.TryParse(text, out ExactNumber number) && number == new ExactNumber(value, 1));
    });

    [Fact]
    public void Constructor_reduces_and_keeps_the_denominator_positive()
    {
        Assert.Equal(new ExactNumber(-1, 2), new ExactNumber(4, -8));
        Assert.Equal("-1/2", new ExactNumber(4, -8).ToString());
        Assert.Equal(new ExactNumber(0, 5), default);
        Assert.Equal(BigInteger.One, default(ExactNumber).Denominator);
        Assert.Throws<ArgumentOutOfRangeException>(() => new ExactNumber(1, 0));
    }
}
