using Grpo.Modeling;

namespace Grpo.Callbacks;

/// <summary>The text that each token adds.</summary>
internal static class TokenPieces
{
    /// <summary>
    /// Pieces that concatenate to the decoded text, special tokens included. A token that only begins a character adds nothing; the one
    /// that completes it adds the character.
    /// </summary>
    public static IReadOnlyList<string> Of(ITokenizer tokenizer, IReadOnlyList<int> tokenIds)
    {
        var pieces = new string[tokenIds.Count];
        string before = string.Empty;
        var prefix = new List<int>(tokenIds.Count);
        for (int i = 0; i < pieces.Length; i++)
        {
            prefix.Add(tokenIds[i]);
            string text = tokenizer.Decode(prefix, skipSpecialTokens: false);
            // A tokenizer that goes back on what it decoded (to tidy spaces, say) shows the change where it happens.
            pieces[i] = text[before.AsSpan().CommonPrefixLength(text)..];
            before = text;
        }

        return pieces;
    }
}
