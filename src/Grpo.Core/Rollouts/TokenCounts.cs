using System.Globalization;
using Grpo.IO;

namespace Grpo.Rollouts;

/// <summary>Reports all prompts or examples whose length is out of range in one message.</summary>
internal static class TokenCounts
{
    private const int Shown = 3;

    /// <summary>Describes the items that have no tokens or too many.</summary>
    /// <param name="what">The plural noun for the items, such as "prompts".</param>
    /// <param name="items">The id and the number of tokens of each item.</param>
    /// <param name="limitName">The name of the option that sets the limit.</param>
    /// <param name="limit">The number of tokens that an item may have.</param>
    /// <returns>A message with the remedy; null if every item fits.</returns>
    public static string? FindProblem(string what, IReadOnlyList<(string Id, int Tokens)> items, string limitName, int limit)
    {
        (string Id, int Tokens)[] refused = [.. items.Where(item => item.Tokens < 1 || item.Tokens > limit)];
        if (refused.Length == 0)
        {
            return null;
        }

        string list = string.Join(
            ", ", refused.Take(Shown).Select(item => $"'{TerminalText.EscapeLine(item.Id)}' has {Number(item.Tokens)}"));
        string more = refused.Length > Shown ? $", and {Number(refused.Length - Shown)} more" : "";
        int longest = refused.Max(item => item.Tokens);
        string remedy = longest > limit
            ? $"Raise {limitName} to {Number(longest)}, the longest, or leave them out of the data set."
            : "Leave them out of the data set.";
        return $"{Number(refused.Length)} of {Number(items.Count)} {what} must have 1 to {Number(limit)} tokens ({limitName}) and do not: "
            + $"{list}{more}. {remedy}";
    }

    private static string Number(int value) => value.ToString("#,0", CultureInfo.InvariantCulture);
}
