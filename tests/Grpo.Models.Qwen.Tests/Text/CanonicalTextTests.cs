using Grpo.Models.Qwen.Text;

namespace Grpo.Models.Qwen.Tests.Text;

public sealed class CanonicalTextTests
{
    [Fact]
    public void Normalize_composes_also_around_U_FFFE() =>
        Assert.Equal("\u00E9\uFFFE\u00E9\uFFFD", CanonicalText.Normalize("e\u0301\uFFFEe\u0301\uDC00"));

    [Fact]
    public void Normalize_never_passes_text_through_that_it_could_not_normalize()
    {
        string message = Assert.Throws<NotSupportedException>(() => CanonicalText.Normalize("cafe\u0301", tablesPresent: false)).Message;

        Assert.Contains("U+0301", message, StringComparison.Ordinal);
        Assert.Contains("Set InvariantGlobalization to false", message, StringComparison.Ordinal);
    }

    [Fact]
    public void Normalize_needs_no_tables_for_text_that_cannot_change() =>
        Assert.Equal("Tom’s café — 5 €", CanonicalText.Normalize("Tom’s café — 5 €", tablesPresent: false));

    [Fact]
    public void Normalize_changes_none_of_the_characters_that_it_passes_through()
    {
        for (int value = 0; value < 0x20D0; value = value == 0x2FF ? 0x2002 : value + 1)
        {
            string text = ((char)value).ToString();
            Assert.Equal(text, text.Normalize());
            Assert.Equal("a" + text, ("a" + text).Normalize());                      // nor does it join what stands before it
        }
    }
}
