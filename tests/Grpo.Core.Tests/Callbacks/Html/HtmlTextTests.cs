using CsCheck;
using Grpo.Callbacks;

namespace Grpo.Core.Tests.Callbacks;

public sealed class HtmlTextTests
{
    [Theory]
    [InlineData("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;")]
    [InlineData("\"a\" & 'b'", "&quot;a&quot; &amp; &#39;b&#39;")]
    [InlineData("\u001b[31mred\u0007\u007f\r\n\ttab", "[U+001B][31mred[U+0007][U+007F][U+000D]\n\ttab")]
    [InlineData("\u0085", "[U+0085]")]
    [InlineData("\u202Eevil\u2066\u200E\u061C", "[U+202E]evil[U+2066][U+200E][U+061C]")]
    [InlineData("a\u200Bb\uFEFF\u2060\u00AD\u2028\uFFFE", "a[U+200B]b[U+FEFF][U+2060][U+00AD][U+2028][U+FFFE]")]
    [InlineData("\U000E0041\U0001FFFF", "[U+E0041][U+1FFFF]")]
    [InlineData("héllo 数 👩\u200D👧 \u00A0−", "héllo 数 👩\u200D👧 \u00A0−")]
    [InlineData("", "")]
    [InlineData(null, "")]
    public void Encode_makes_text_inert_and_the_invisible_visible(string? text, string expected) =>
        Assert.Equal(expected, HtmlText.Encode(text));

    // Not as test data: the runner writes its data as UTF-8, which has no lone surrogates.
    [Fact]
    public void Encode_names_lone_surrogates()
    {
        Assert.Equal("[U+D83D]x", HtmlText.Encode("\uD83Dx"));
        Assert.Equal("[U+DE00][U+D83D]", HtmlText.Encode("\uDE00\uD83D"));
        Assert.Equal("[U+D83D]😀", HtmlText.Encode("\uD83D\uD83D\uDE00"));
    }

    [Fact]
    public void Encode_leaves_nothing_that_markup_or_an_attribute_would_read()
    {
        Gen.Char.Array[0, 40].Sample(characters =>
        {
            string html = HtmlText.Encode(new string(characters));
            Assert.DoesNotContain(
                html,
                character => character is '<' or '>' or '"' or '\'' || (char.IsControl(character) && character is not ('\n' or '\t')));
            Assert.DoesNotContain(html, character => character is >= '\u202A' and <= '\u202E' or >= '\u2066' and <= '\u2069');
            Assert.All(html.Split('&').Skip(1), rest => Assert.Matches("^(amp|lt|gt|quot|#39);", rest));
            Assert.Equal(html, System.Text.Encoding.UTF8.GetString(System.Text.Encoding.UTF8.GetBytes(html))); // no half characters
        });
    }

    [Fact]
    public void Cut_keeps_short_text_and_whole_characters()
    {
        Assert.Equal("abc", HtmlText.Cut("abc", 3));
        Assert.Equal("ab … (2 more characters)", HtmlText.Cut("abcd", 2));
        Assert.Equal("a … (3 more characters)", HtmlText.Cut("a😀b", 2)); // not through the middle of a pair
    }
}
