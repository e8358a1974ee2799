using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Grpo.Models.Qwen.Text;

/// <summary>The identity of a tokenizer: the facts that decide which ids a text becomes, and which text ids become.</summary>
internal static class TokenizerIdentity
{
    /// <summary>Describes the tokens of a tokenizer.</summary>
    /// <param name="tokens">The bytes of every token.</param>
    /// <param name="merges">The merges, as <see cref="DescribeMerges"/> describes them.</param>
    /// <param name="addedIds">The ids of the tokens that are cut out of the raw text.</param>
    /// <param name="pipeline">The settings of the tokenizer.</param>
    public static PlugInIdentity Create(TokenTable tokens, string merges, IEnumerable<int> addedIds, TokenizerPipeline pipeline)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        for (int id = 0; id < tokens.Count; id++)
        {
            Append(hash, tokens[id]);
        }

        int[] added = [.. addedIds.Order()];
        int[] special = [.. added.Where(tokens.IsSpecial)];
        return new PlugInIdentity(pipeline.Words.Name)
            .With("vocabulary", Describe(tokens.Count, hash))
            .With("merges", merges)
            .With("whole words", pipeline.TakesWholeWords ? "taken before merging" : null)
            .With("normalization", pipeline.IsComposed ? null : "none")
            .With("added tokens", string.Join(", ", added))
            .With("special tokens", string.Join(", ", special));
    }

    /// <summary>Describes merges by their number and a hash of them in their order.</summary>
    public static string DescribeMerges(IReadOnlyCollection<(string Left, string Right)> merges)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach ((string left, string right) in merges)
        {
            Append(hash, Encoding.UTF8.GetBytes(left));
            Append(hash, Encoding.UTF8.GetBytes(right));
        }

        return Describe(merges.Count, hash);
    }

    private static string Describe(int count, IncrementalHash hash) =>
        string.Create(CultureInfo.InvariantCulture, $"{count}, SHA-256 {Convert.ToHexStringLower(hash.GetHashAndReset())[..16]}");

    private static void Append(IncrementalHash hash, ReadOnlySpan<byte> bytes)
    {
        hash.AppendData(BitConverter.GetBytes(bytes.Length)); // the length tells "ab", "c" from "a", "bc"
        hash.AppendData(bytes);
    }
}
