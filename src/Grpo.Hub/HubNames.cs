using System.Buffers;
using System.Text.RegularExpressions;
using Grpo.IO;

namespace Grpo.Hub;

/// <summary>Checks names that become part of addresses and paths.</summary>
internal static partial class HubNames
{
    // Separators, marks of a drive or stream, and characters that some system does not allow in a name.
    private static readonly SearchValues<char> NotInNames = SearchValues.Create("\\:*?\"<>|");

    /// <summary>
    /// True if a text is an id by the hub's rules: owner/name of letters, digits, '-', '_' and '.', at most 96 characters each.
    /// </summary>
    public static bool IsId(string id) =>
        Id().IsMatch(id) && !id.Contains("--", StringComparison.Ordinal) && !id.Contains("..", StringComparison.Ordinal);

    public static bool IsCommit(string revision) => Commit().IsMatch(revision);

    public static bool IsSha256(string text) => Sha256().IsMatch(text);

    /// <summary>True if a relative path with '/' stays inside its folder on every system.</summary>
    public static bool IsInsideFolder(string path) =>
        path.Length is > 0 and <= 512
        && !path.AsSpan().ContainsAny(NotInNames)
        && TerminalText.EscapeLine(path) == path // no invisible characters, and no half surrogate pairs
        && path.Split('/').All(part => part.Length > 0 && part is not ("." or ".."));

    /// <summary>Returns an id after checking it.</summary>
    /// <param name="id">The id.</param>
    /// <param name="example">An example of an id, for the message.</param>
    /// <param name="local">The local alternative to an id, for the message.</param>
    public static string RequireId(string id, string example, string local)
    {
        ArgumentNullException.ThrowIfNull(id);
        return IsId(id)
            ? id
            : throw new ArgumentException(
                $"'{TerminalText.EscapeLine(id)}' is not the id of a hub repository. Give owner/name, such as {example}, or {local}.",
                nameof(id));
    }

    public static string RequireSplit(string split)
    {
        ArgumentNullException.ThrowIfNull(split);
        return Split().IsMatch(split)
            ? split
            : throw new ArgumentException(
                $"'{TerminalText.EscapeLine(split)}' is not the name of a split. Give one such as train or test: "
                + "letters, digits, '_', '-' and '.'.", nameof(split));
    }

    public static string RequireRevision(string revision) => IsInsideFolder(revision)
        ? revision
        : throw new ArgumentException(
            $"The revision '{TerminalText.EscapeLine(revision)}' is not a branch, tag or commit.", nameof(revision));

    [GeneratedRegex(
        @"\A[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?/[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?\z",
        RegexOptions.NonBacktracking)]
    private static partial Regex Id();

    [GeneratedRegex(@"\A[A-Za-z0-9_.-]{1,96}\z", RegexOptions.NonBacktracking)]
    private static partial Regex Split();

    [GeneratedRegex(@"\A[0-9a-f]{40}\z", RegexOptions.NonBacktracking)]
    private static partial Regex Commit();

    [GeneratedRegex(@"\A[0-9a-f]{64}\z", RegexOptions.NonBacktracking)]
    private static partial Regex Sha256();
}
