using System.Security.Cryptography;
using System.Text;

namespace Grpo.IO;

/// <summary>SHA-256 over a sequence of texts, each with its length, so that "ab", "c" and "a", "bc" are two sequences.</summary>
internal static class TextHash
{
    /// <summary>The first 16 characters of the hash, hexadecimal.</summary>
    public static string Short(IEnumerable<string> texts)
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (string text in texts)
        {
            byte[] bytes = Encoding.UTF8.GetBytes(text);
            hash.AppendData(BitConverter.GetBytes(bytes.LongLength));
            hash.AppendData(bytes);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset())[..16];
    }
}
