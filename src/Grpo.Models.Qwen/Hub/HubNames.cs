using System.Buffers;
using System.Text.RegularExpressions;
using Grpo.IO;

namespace Grpo.Models.Qwen;

/// <summary>Names that become addresses and paths, and so must be harmless.</summary>
internal static partial class HubNames
{
    // What separates, names a drive or stream, or is not allowed in a name on some system.
    private static readonly SearchValues<char> NotInNames = SearchValues.Create("\\:*?\"<>|");

    /// <summary>owner/name by the hub's rules: letters, digits, '-', '_' and '.', at most 96 characters a part.</summary>
    public static bool IsId(string id) =>
        Id().IsMatch(id) && !id.Contains("--", StringComparison.Ordinal) && !id.Contains("..", StringComparison.Ordinal);

    public static bool IsCommit(string revision) => Commit().IsMatch(revision);

    public static bool IsSha256(string text) => Sha256().IsMatch(text);

    /// <summary>Whether a relative path with '/' stays inside the folder it is meant for, on every system.</summary>
    public static bool IsInsideFolder(string path) =>
        path.Length is > 0 and <= 512
        && !path.AsSpan().ContainsAny(NotInNames)
        && TerminalText.EscapeLine(path) == path // nothing invisible, and no half character
        && path.Split('/').All(part => part.Length > 0 && part is not ("." or ".."));

    /// <param name="id">The text to check.</param>
    /// <param name="example">An id, for the message.</param>
    /// <param name="local">What may be given in place of an id, for the message.</param>
    public static string RequireId(string id, string example, string local)
    {
        ArgumentNullException.ThrowIfNull(id);
        return IsId(id)
            ? id
            : throw new ArgumentException(
                $"'{TerminalText.EscapeLine(id)}' is not the id of a hub repository. Give owner/name, such as {example}, or {local}.", nameof(id));
    }

    public static string RequireSplit(string split)
    {
        ArgumentNullException.ThrowIfNull(split);
        return Split().IsMatch(split)
            ? split
            : throw new ArgumentException(
                $"'{TerminalText.EscapeLine(split)}' is not the name of a split. Give one such as train or test: letters, digits, '_', '-' and '.'.", nameof(split));
    }

    public static string RequireRevision(string revision) => IsInsideFolder(revision)
        ? revision
        : throw new ArgumentException($"The revision '{TerminalText.EscapeLine(revision)}' is not a branch, tag or commit.", nameof(revision));

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
