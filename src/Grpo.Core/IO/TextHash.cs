using System.Security.Cryptography;
using System.Text;

namespace Grpo.IO;

/// <summary>Hashes sequences of texts with SHA-256. Each text is hashed with its length, so "ab", "c" and "a", "bc" differ.</summary>
internal static class TextHash
{
    /// <summary>Computes the hash of the texts and returns its first 16 hexadecimal characters.</summary>
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
