using System.Text.RegularExpressions;
using CsCheck;
using Grpo.Models.Qwen.Text;

namespace Grpo.Models.Qwen.Tests.Text;

public sealed class Qwen2PreTokenizerTests
{
    private static readonly Regex Expression = new(WordRules.Qwen2.Pattern, RegexOptions.CultureInvariant);

    [Theory]
    [InlineData("I'll don'T we'RE x's", "I|'ll| don|'T| we|'RE| x|'s")]
    [InlineData("a1234b", "a|1|2|3|4|b")]
    [InlineData("x  = y;\n\n  z", "x| | =| y|;\n\n| | z")]
    [InlineData("  \n \n  a", "  \n \n| | a")]
    [InlineData("a   ", "a|   ")]
    [InlineData("(word)_under", "(word|)_|under")]
    [InlineData("\tif", "\tif")]
    [InlineData("'llama", "'ll|ama")]
    [InlineData("5€ ½ Ⅷ", "5|€| |½| |Ⅷ")]
    public void PreTokenize_cuts_as_the_expression_says(string text, string words) => Assert.Equal(words, string.Join('|', Words(text)));

    [Theory]
    [InlineData("a𠮷b", "a𠮷b")]                      // a letter outside the basic plane is a letter
    [InlineData("x𝟙𝟚", "x|𝟙|𝟚")]                     // a digit is a digit, each alone
    [InlineData("𐍈𐌰 🧮!", "𐍈𐌰| 🧮!")]               // an emoji is punctuation
    public void PreTokenize_classifies_scalars_and_not_their_halves(string text, string words) =>
        Assert.Equal(words, string.Join('|', Words(text)));

    [Fact]
    public void PreTokenize_equals_the_regular_expression_on_the_basic_plane()
    {
        Gen<string> piece = Gen.Frequency(
            (4, Gen.Char[' ', '~'].Select(c => c.ToString())),
            (2, Gen.Int[0, 9].Select(i => ((string[])["\n", "\r", "\t", " ", "'s", "'LL", "'ve", "\u00A0", "\u3000", "\u0085"])[i])),
            (2, Gen.Char['\0', '\uD7FF'].Select(c => c.ToString())));

        piece.Array[0, 30].Select(string.Concat)
            .Where(text => !text.Contains('\u017F'))                                // .NET's case table lacks the long s
            .Sample(text => Words(text).SequenceEqual(Expression.Matches(text).Select(match => match.Value)), iter: 20_000);
    }

    private static IEnumerable<string> Words(string text) =>
        Qwen2PreTokenizer.Instance.PreTokenize(text).Select(word => text.Substring(word.Offset, word.Length));
}
