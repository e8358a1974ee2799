using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Grpo.Hub;

/// <summary>The hash that names a blob: SHA-256 of its content (64 digits), or git's SHA-1 of it (40 digits).</summary>
internal static class BlobHash
{
    private const int BufferBytes = 1_048_576;

    /// <summary>True if a text can be the name of a blob.</summary>
    public static bool IsName(string text) => HubNames.IsSha256(text) || HubNames.IsCommit(text);

    /// <summary>Computes the hash of a whole stream, of the same kind as a given hash.</summary>
    /// <param name="content">The content, from its beginning. It must be seekable.</param>
    /// <param name="kind">A hash whose length decides between SHA-256 and git's SHA-1.</param>
    /// <param name="cancellationToken">Cancels the computation within a mebibyte.</param>
    /// <returns>The hash in lower-case hexadecimal.</returns>
    public static string Compute(Stream content, string kind, CancellationToken cancellationToken)
    {
        content.Seek(0, SeekOrigin.Begin);
        using var hash = IncrementalHash.CreateHash(HubNames.IsSha256(kind) ? HashAlgorithmName.SHA256 : HashAlgorithmName.SHA1);
        if (hash.AlgorithmName == HashAlgorithmName.SHA1)
        {
            // git hashes this header before the content
            string head = string.Create(CultureInfo.InvariantCulture, $"blob {content.Length}\0");
            hash.AppendData(Encoding.ASCII.GetBytes(head));
        }

        var buffer = new byte[BufferBytes];
        int count;
        while ((count = content.Read(buffer)) > 0)
        {
            cancellationToken.ThrowIfCancellationRequested();
            hash.AppendData(buffer, 0, count);
        }

        return Convert.ToHexStringLower(hash.GetHashAndReset());
    }
}
