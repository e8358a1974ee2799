using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using Grpo.IO;

namespace Grpo.Training;

/// <summary>Texts of a model card in YAML and Markdown, without local paths and tokens.</summary>
internal static partial class ModelCardText
{
    private const string MarkdownMarks = @"\`*_{}[]<>#|~$";

    /// <summary>Returns a YAML scalar in double quotes.</summary>
    public static string Yaml(string text)
    {
        var quoted = new StringBuilder("\"", text.Length + 2);
        foreach (Rune rune in text.EnumerateRunes()) // half a surrogate pair becomes U+FFFD
        {
            if (rune.Value is '"' or '\\')
            {
                quoted.Append('\\').Append((char)rune.Value);
            }
            else if (IsPlain(rune))
            {
                quoted.Append(rune.ToString());
            }
            else
            {
                quoted.Append(CultureInfo.InvariantCulture, $"\\U{rune.Value:X8}");
            }
        }

        return quoted.Append('"').ToString();
    }

    /// <summary>Returns one line of Markdown that shows a text as it is.</summary>
    public static string Line(string? text)
    {
        var line = new StringBuilder();
        foreach (char character in TerminalText.EscapeLine(text))
        {
            line.Append(MarkdownMarks.Contains(character, StringComparison.Ordinal) ? $"\\{character}" : character.ToString());
        }

        return line.ToString();
    }

    /// <summary>Returns a value of a fact in Markdown. A local path or a token is hidden.</summary>
    public static string Fact(string? text) => text is null ? "–"
        : LocalPath().IsMatch(text) ? "(a local path)"
        : Line(WithoutToken(text));

    /// <summary>Returns a block that shows a text of several lines as it is.</summary>
    public static string Block(string text)
    {
        string shown = TerminalText.Escape(WithoutToken(text));
        int longest = Backticks().Matches(shown).Select(match => match.Length).DefaultIfEmpty(0).Max();
        string fence = new('`', Math.Max(3, longest + 1));
        return $"{fence}text\n{shown}\n{fence}\n";
    }

    /// <summary>Returns a fraction as a percentage with one digit.</summary>
    public static string Percent(double fraction) => string.Create(CultureInfo.InvariantCulture, $"{100 * fraction:0.0} %");

    /// <summary>True if a text has the form owner/name of a repository on a hub.</summary>
    public static bool IsId(string text) => Id().IsMatch(text);

    /// <summary>True if a text is one word of letters, digits, '.', '_' and '-'.</summary>
    public static bool IsWord(string text) => Word().IsMatch(text);

    public static string WithoutToken(string text) => Token().Replace(text, "(hidden)");

    private static bool IsPlain(Rune rune) => rune.Value is >= 0x20 and < 0x7F
        || (rune.Value >= 0xA0 && !TerminalText.IsInvisible(rune));

    // A path from the root of a system or a home folder, at the beginning or after a separator.
    [GeneratedRegex(
        @"(?:^|[\s""'=(:,])(?:~[/\\]|/[^/\s]+/|\.\.?[/\\]|[A-Za-z]:[\\/]|\\\\|file:)",
        RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex LocalPath();

    [GeneratedRegex("(?:hf|sk|ghp|gho|api)[_-][A-Za-z0-9_-]{16,}", RegexOptions.NonBacktracking | RegexOptions.CultureInvariant)]
    private static partial Regex Token();

    [GeneratedRegex("`+", RegexOptions.NonBacktracking)]
    private static partial Regex Backticks();

    [GeneratedRegex(@"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}\z", RegexOptions.NonBacktracking)]
    private static partial Regex Id();

    [GeneratedRegex(@"\A[A-Za-z0-9][A-Za-z0-9._-]{0,95}\z", RegexOptions.NonBacktracking)]
    private static partial Regex Word();
}
