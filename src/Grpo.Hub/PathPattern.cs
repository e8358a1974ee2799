using System.Text;
using System.Text.RegularExpressions;
using Grpo.IO;

namespace Grpo.Hub;

/// <summary>A pattern of paths: <c>*</c> and <c>?</c> stand for characters within a name, <c>**</c> also for whole folders.</summary>
internal sealed class PathPattern
{
    private const int MaxLength = 512;
    private readonly Regex _regex;

    /// <exception cref="ArgumentException">The pattern is empty or too long.</exception>
    public PathPattern(string pattern)
    {
        if (string.IsNullOrEmpty(pattern) || pattern.Length > MaxLength)
        {
            throw new ArgumentException(
                $"The pattern '{TerminalText.EscapeLine(pattern)}' must have 1 to {MaxLength} characters, such as *.safetensors.");
        }

        // Without '/' the pattern is compared with the name in every folder.
        string whole = pattern.Contains('/', StringComparison.Ordinal) ? pattern.TrimStart('/') : $"**/{pattern}";
        _regex = new Regex(ToRegex(whole), RegexOptions.NonBacktracking | RegexOptions.CultureInvariant | RegexOptions.Singleline);
    }

    /// <summary>True if a path with '/' between folders matches.</summary>
    public bool IsMatch(string path) => _regex.IsMatch(path);

    private static string ToRegex(string pattern)
    {
        var regex = new StringBuilder(@"\A");
        for (int i = 0; i < pattern.Length; i++)
        {
            if (pattern.AsSpan(i).StartsWith("**/", StringComparison.Ordinal))
            {
                regex.Append("(?:.*/)?");
                i += 2;
            }
            else if (pattern.AsSpan(i).StartsWith("**", StringComparison.Ordinal))
            {
                regex.Append(".*");
                i++;
            }
            else
            {
                regex.Append(pattern[i] switch { '*' => "[^/]*", '?' => "[^/]", char other => Regex.Escape(other.ToString()) });
            }
        }

        return regex.Append(@"\z").ToString();
    }
}
