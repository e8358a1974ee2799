using System.Buffers;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace Grpo.Hub;

/// <summary>A file of the folder with the hashes of its content. The content is compared with them whenever it is sent.</summary>
/// <param name="Path">The path in the repository.</param>
/// <param name="FullPath">The path on this machine.</param>
/// <param name="Size">The size in bytes.</param>
/// <param name="Sha256">The SHA-256 of the content, which names it in the store of large files.</param>
/// <param name="GitHash">Git's SHA-1 of the content, which names it in a commit.</param>
/// <param name="Sample">The first bytes, from which the hub tells text from binary data.</param>
internal sealed record LocalFile(string Path, string FullPath, long Size, string Sha256, string GitHash, byte[] Sample)
{
    private const int BufferBytes = 1_048_576;
    private const int SampleBytes = 512;

    /// <summary>Reads a file once and computes its hashes.</summary>
    public static async Task<LocalFile> ReadAsync(string folder, HubUploadFile file, CancellationToken cancellationToken)
    {
        var root = new DirectoryInfo(System.IO.Path.GetFullPath(folder));
        FileInfo source = UploadFolder.Resolve(
            root, new FileInfo(System.IO.Path.Combine([root.FullName, .. file.Path.Split('/')])), file.Path);
        using var sha256 = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        using var git = IncrementalHash.CreateHash(HashAlgorithmName.SHA1);
        var sample = new MemoryStream(SampleBytes);
        long size = 0;
        try
        {
            FileStream content = Open(source.FullName);
            await using (content.ConfigureAwait(false))
            {
                long length = content.Length;
                string head = string.Create(CultureInfo.InvariantCulture, $"blob {length}\0"); // git hashes this header before the content
                git.AppendData(Encoding.ASCII.GetBytes(head));
                byte[] buffer = ArrayPool<byte>.Shared.Rent(BufferBytes);
                try
                {
                    int count;
                    while ((count = await content.ReadAsync(buffer, cancellationToken).ConfigureAwait(false)) > 0)
                    {
                        sample.Write(buffer, 0, (int)Math.Min(count, SampleBytes - sample.Length));
                        sha256.AppendData(buffer, 0, count);
                        git.AppendData(buffer, 0, count);
                        size += count;
                    }
                }
                finally
                {
                    ArrayPool<byte>.Shared.Return(buffer);
                }

                if (size != length || size != file.Size)
                {
                    throw Changed(file.Path);
                }
            }
        }
        catch (Exception e) when (e is (IOException or UnauthorizedAccessException) and not HubException)
        {
            throw Unreadable(file.Path, e);
        }

        return new LocalFile(
            file.Path,
            source.FullName,
            size,
            Convert.ToHexStringLower(sha256.GetHashAndReset()),
            Convert.ToHexStringLower(git.GetHashAndReset()),
            sample.ToArray());
    }

    /// <summary>Opens the content for reading in order.</summary>
    public static FileStream Open(string fullPath) => new(
        fullPath, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0, FileOptions.Asynchronous | FileOptions.SequentialScan);

    /// <summary>Reads the whole content of a small file, and refuses it if it has changed.</summary>
    public async Task<byte[]> ReadContentAsync(CancellationToken cancellationToken)
    {
        try
        {
            FileStream content = Open(FullPath);
            await using (content.ConfigureAwait(false))
            {
                if (content.Length != Size)
                {
                    throw Changed(Path);
                }

                var bytes = new byte[Size];
                int count = await content.ReadAtLeastAsync(bytes, bytes.Length, throwOnEndOfStream: false, cancellationToken)
                    .ConfigureAwait(false);
                return count == bytes.Length && Convert.ToHexStringLower(SHA256.HashData(bytes)) == Sha256 ? bytes : throw Changed(Path);
            }
        }
        catch (Exception e) when (e is (IOException or UnauthorizedAccessException) and not HubException)
        {
            throw Unreadable(Path, e);
        }
    }

    /// <summary>Hashes the content again and throws if it has changed.</summary>
    public async Task RequireUnchangedAsync(CancellationToken cancellationToken)
    {
        try
        {
            FileStream content = Open(FullPath);
            await using (content.ConfigureAwait(false))
            {
                byte[] hash = content.Length == Size
                    ? await SHA256.HashDataAsync(content, cancellationToken).ConfigureAwait(false)
                    : throw Changed(Path);
                if (Convert.ToHexStringLower(hash) != Sha256)
                {
                    throw Changed(Path);
                }
            }
        }
        catch (Exception e) when (e is (IOException or UnauthorizedAccessException) and not HubException)
        {
            throw Unreadable(Path, e);
        }
    }

    public static HubException Changed(string path) => new(
        $"'{path}' changed while it was uploaded. Nothing was committed. Wait until the program that writes it is done, and try again.");

    public static HubException Unreadable(string path, Exception cause) =>
        new($"'{path}' cannot be read: {cause.Message} Nothing was committed.", cause);
}
