using System.Text.RegularExpressions;
using CsCheck;
using Grpo.Models.Qwen.Text;

namespace Grpo.Models.Qwen.Tests.Text;

public sealed class WordScannerTests
{
    private static readonly Dictionary<string, WordRules> Rules = new()
    {
        ["Qwen2"] = WordRules.Qwen2,
        ["Llama3"] = WordRules.Llama3,
        ["GPT2"] = WordRules.Gpt2,
        ["SmolLM2"] = WordRules.SmolLM2,
        ["Llama3 apart"] = WordRules.Llama3.WithNumbersApart(each: false),
        ["GPT2 apart"] = WordRules.Gpt2.WithNumbersApart(each: false),
        ["Qwen2 digits"] = WordRules.Qwen2.WithNumbersApart(each: true),
    };

    public static TheoryData<string> Names => [.. Rules.Keys];

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
    public void PreTokenize_cuts_as_the_expression_says(string text, string words) => AssertWords(WordRules.Qwen2, text, words);

    [Theory]
    [InlineData("a𠮷b", "a𠮷b")]                      // a letter outside the basic plane is a letter
    [InlineData("x𝟙𝟚", "x|𝟙|𝟚")]                     // a digit is a digit, each alone
    [InlineData("𐍈𐌰 🧮!", "𐍈𐌰| 🧮!")]               // an emoji is punctuation
    [InlineData("x'ſ", "x|'ſ")]                       // the long s folds to s
    public void PreTokenize_classifies_scalars_and_not_their_halves(string text, string words) =>
        AssertWords(WordRules.Qwen2, text, words);

    [Theory]
    [InlineData("a1234b", "a|123|4|b")]               // up to three digits
    [InlineData(" 12 𝟙𝟚𝟛𝟜", " |12| |𝟙𝟚𝟛|𝟜")]          // no space leads a number, and a digit may have two UTF-16 units
    [InlineData("x'RE\n\ny", "x|'RE|\n\n|y")]
    public void PreTokenize_cuts_as_Llama_3_does(string text, string words) => AssertWords(WordRules.Llama3, text, words);

    [Theory]
    [InlineData("I'll don'T x'ſ", "I|'ll| don|'|T| x|'|ſ")]    // contractions in lower case only
    [InlineData("a 1234b", "a| 1234|b")]
    [InlineData("\tif (x)\n\ny", "\t|if| (|x|)|\n|\n|y")]       // only a space leads letters; line breaks are white space
    [InlineData("a   b", "a|  | b")]
    public void PreTokenize_cuts_as_GPT_2_does(string text, string words) => AssertWords(WordRules.Gpt2, text, words);

    [Theory]
    [InlineData("a 123b", "a| |1|2|3|b")]                        // each digit alone, without the space before it
    [InlineData("a   1   b", "a|   |1|  | b")]                   // white space before a digit is at the end of a text
    [InlineData("x½'s 𝟙", "x|½|'s| |𝟙")]
    public void PreTokenize_cuts_as_SmolLM2_does(string text, string words) => AssertWords(WordRules.SmolLM2, text, words);

    [Theory]
    [MemberData(nameof(Names))]
    public void PreTokenize_equals_the_regular_expression_on_the_basic_plane(string name)
    {
        WordRules rules = Rules[name];
        var scanner = new WordScanner(rules);
        var expression = new Regex(rules.Pattern, RegexOptions.CultureInvariant);
        string numbers = !rules.NumbersApart ? @"(?s).+" : rules.LongestNumber == 1 ? @"\p{N}|\P{N}+" : @"\p{N}+|\P{N}+";
        var parts = new Regex(numbers, RegexOptions.CultureInvariant);

        string[] special = ["\n", "\r", "\t", "  ", "'s", "'LL", "'ve", "\u00A0", "\u3000", "\u0085", "1", "42"];
        Gen<string> piece = Gen.Frequency(
            (4, Gen.Char[' ', '~'].Select(c => c.ToString())),
            (2, Gen.Int[0, special.Length - 1].Select(i => special[i])),
            (2, Gen.Char['\0', '\uD7FF'].Select(c => c.ToString())));

        piece.Array[0, 30].Select(string.Concat)
            .Where(text => !text.Contains('\u017F'))                                // .NET's case table lacks the long s
            .Sample(text => Words(scanner, text).SequenceEqual(
                parts.Matches(text).SelectMany(part => expression.Matches(part.Value)).Select(match => match.Value)), iter: 10_000);
    }

    [Fact]
    public void PreTokenize_takes_linear_time_for_white_space()
    {
        // Half a million spaces and line breaks before a digit: every word is scanned once or twice, not once for each position.
        string text = string.Concat(Enumerable.Repeat(" \n", 250_000)) + "1";
        var watch = System.Diagnostics.Stopwatch.StartNew();
        foreach (WordRules rules in Rules.Values)
        {
            Assert.Equal(text.Length, Words(new WordScanner(rules), text).Sum(word => word.Length));
        }

        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(10), $"took {watch.Elapsed}");
    }

    private static void AssertWords(WordRules rules, string text, string words) =>
        Assert.Equal(words, string.Join('|', Words(new WordScanner(rules), text)));

    private static IEnumerable<string> Words(WordScanner scanner, string text) =>
        scanner.PreTokenize(text).Select(word => text.Substring(word.Offset, word.Length));
}
