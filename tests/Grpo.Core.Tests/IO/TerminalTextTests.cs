using System.Text;
using CsCheck;
using Grpo.IO;

namespace Grpo.Core.Tests.IO;

public sealed class TerminalTextTests
{
    [Theory]
    [InlineData("\u001b[31mred\u0007 \u007f\b", "\\u{1B}[31mred\\u{7} \\u{7F}\\u{8}")]
    [InlineData("\u009b2J\u0085", "\\u{9B}2J\\u{85}")]
    [InlineData("\u001b]0;title\u001b\\", "\\u{1B}]0;title\\u{1B}\\")]
    [InlineData("\u202Eevil\u2066\u2069\u200E\u061C", "\\u{202E}evil\\u{2066}\\u{2069}\\u{200E}\\u{61C}")]
    [InlineData("a\u200Bb\uFEFF\u2060\u00AD\u2028\u2029\uFFFE", "a\\u{200B}b\\u{FEFF}\\u{2060}\\u{AD}\\u{2028}\\u{2029}\\u{FFFE}")]
    [InlineData("\U000E0041\U0001FFFF", "\\u{E0041}\\u{1FFFF}")]
    [InlineData("<b>\"héllo\" & 数 👩\u200D👧 \u00A0−", "<b>\"héllo\" & 数 👩\u200D👧 \u00A0−")]
    [InlineData("", "")]
    [InlineData(null, "")]
    public void Escape_makes_visible_what_a_terminal_would_obey(string? text, string expected)
    {
        Assert.Equal(expected, TerminalText.Escape(text));
        Assert.Equal(expected, TerminalText.EscapeLine(text));
    }

    [Fact]
    public void Escape_keeps_line_ends_and_tabs_and_EscapeLine_does_not()
    {
        Assert.Equal("a\n\tb\n\\u{D}c", TerminalText.Escape("a\n\tb\r\n\rc")); // a carriage return alone would overwrite the line
        Assert.Equal("a\\u{A}\\u{9}b\\u{D}\\u{A}\\u{D}c", TerminalText.EscapeLine("a\n\tb\r\n\rc"));
    }

    // Not as test data: the runner writes its data as UTF-8, which has no lone surrogates.
    [Fact]
    public void Escape_names_lone_surrogates()
    {
        Assert.Equal("\\u{D83D}x", TerminalText.Escape("\uD83Dx"));
        Assert.Equal("\\u{DE00}\\u{D83D}", TerminalText.EscapeLine("\uDE00\uD83D"));
        Assert.Equal("\\u{D83D}😀", TerminalText.Escape("\uD83D\uD83D\uDE00"));
    }

    [Fact]
    public void Escape_leaves_one_line_of_valid_text()
    {
        Gen.Char.Array[0, 40].Sample(characters =>
        {
            string line = TerminalText.EscapeLine(new string(characters));
            Assert.DoesNotContain(line, letter => char.IsControl(letter)
                || letter is (>= '\u202A' and <= '\u202E') or (>= '\u2066' and <= '\u2069') or '\u2028' or '\u2029');
            Assert.Equal(line, Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(line)));
            Assert.Equal(line, TerminalText.Escape(line)); // nothing is left to do
        });
    }
}
