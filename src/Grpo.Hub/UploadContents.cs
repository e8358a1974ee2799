using System.Net;
using System.Net.Http.Headers;
using System.Security.Cryptography;

namespace Grpo.Hub;

/// <summary>Creates the bodies of an upload's requests.</summary>
internal static class UploadContents
{
    private const string LfsType = "application/vnd.git-lfs+json";

    /// <summary>A small body in memory.</summary>
    public static HubBody Bytes(byte[] content, string mediaType) =>
        new(HttpMethod.Post, moved => new BytesContent(content, mediaType, moved), HubBody.NoHeaders);

    /// <summary>A message of the protocol of large files, with the headers that the hub asked for.</summary>
    public static HubBody Lfs(byte[] json, IReadOnlyDictionary<string, string> headers)
    {
        var all = new Dictionary<string, string>(headers) { ["Accept"] = LfsType };
        return new HubBody(HttpMethod.Post, moved => new BytesContent(json, LfsType, moved), all);
    }

    /// <summary>A part of a file, or the whole of it.</summary>
    public static HubBody Part(LocalFile file, long start, long length, Action<long> report, IReadOnlyDictionary<string, string> headers) =>
        new(HttpMethod.Put, moved => new FileContent(file, start, length, Both(moved, report)), headers);

    private static Action<long> Both(Action moved, Action<long> report) => sent =>
    {
        moved();
        report(sent);
    };

    private sealed class BytesContent : HttpContent
    {
        private const int Step = 65_536;
        private readonly byte[] _content;
        private readonly Action _moved;

        public BytesContent(byte[] content, string mediaType, Action moved)
        {
            (_content, _moved) = (content, moved);
            Headers.ContentType = new MediaTypeHeaderValue(mediaType);
        }

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
            SerializeToStreamAsync(stream, context, CancellationToken.None);

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
        {
            for (int start = 0; start < _content.Length; start += Step)
            {
                int count = Math.Min(Step, _content.Length - start);
                await stream.WriteAsync(_content.AsMemory(start, count), cancellationToken).ConfigureAwait(false);
                _moved();
            }
        }

        protected override bool TryComputeLength(out long length)
        {
            length = _content.Length;
            return true;
        }
    }

    // Of a whole file, the last bytes are held back until the hash of all is known: a file that has changed never arrives.
    private sealed class FileContent(LocalFile file, long start, long length, Action<long> moved) : HttpContent
    {
        private const int BufferBytes = 131_072;

        protected override Task SerializeToStreamAsync(Stream stream, TransportContext? context) =>
            SerializeToStreamAsync(stream, context, CancellationToken.None);

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context, CancellationToken cancellationToken)
        {
            FileStream content = Open();
            await using (content.ConfigureAwait(false))
            {
                using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
                content.Seek(start, SeekOrigin.Begin);
                var buffer = new byte[BufferBytes];
                for (long sent = 0; sent < length;)
                {
                    int count = await ReadAsync(content, buffer.AsMemory(0, (int)Math.Min(BufferBytes, length - sent)), cancellationToken)
                        .ConfigureAwait(false);
                    hash.AppendData(buffer, 0, count);
                    sent += count;
                    if (sent == file.Size && length == file.Size && Convert.ToHexStringLower(hash.GetCurrentHash()) != file.Sha256)
                    {
                        throw LocalFile.Changed(file.Path);
                    }

                    await stream.WriteAsync(buffer.AsMemory(0, count), cancellationToken).ConfigureAwait(false);
                    moved(start + sent);
                }
            }
        }

        protected override bool TryComputeLength(out long computed)
        {
            computed = length;
            return true;
        }

        private FileStream Open()
        {
            try
            {
                FileStream content = LocalFile.Open(file.FullPath);
                if (content.Length == file.Size)
                {
                    return content;
                }

                content.Dispose();
                throw LocalFile.Changed(file.Path);
            }
            catch (Exception e) when (e is (IOException or UnauthorizedAccessException) and not HubException)
            {
                throw LocalFile.Unreadable(file.Path, e);
            }
        }

        private async Task<int> ReadAsync(FileStream content, Memory<byte> buffer, CancellationToken cancellationToken)
        {
            try
            {
                int count = await content.ReadAsync(buffer, cancellationToken).ConfigureAwait(false);
                return count > 0 ? count : throw LocalFile.Changed(file.Path);
            }
            catch (IOException e) when (e is not HubException)
            {
                throw LocalFile.Unreadable(file.Path, e);
            }
        }
    }
}
