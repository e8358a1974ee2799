using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Grpo.Testing;

namespace Grpo.Hub.Tests;

/// <summary>A request that reached the server.</summary>
internal sealed record HubRequest(string Method, string Path, IReadOnlyDictionary<string, string> Headers)
{
    public string Query { get; init; } = "";

    public byte[] Body { get; init; } = [];

    public string? Header(string name) => Headers.GetValueOrDefault(name);
}

/// <summary>An answer, with the ways in which it can go wrong.</summary>
internal sealed record HubReply(int Status)
{
    public Dictionary<string, string> Headers { get; init; } = [];

    public byte[] Body { get; init; } = [];

    /// <summary>Bytes of the body after which the connection closes.</summary>
    public int? CutAfter { get; init; }

    /// <summary>Bytes of the body after which nothing more comes.</summary>
    public int? StallAfter { get; init; }

    /// <summary>The connection closes without an answer.</summary>
    public bool IsDropped { get; init; }

    /// <summary>No Content-Length: the end of the connection ends the body.</summary>
    public bool WithoutLength { get; init; }
}

/// <summary>A hub on 127.0.0.1 that serves one repository honestly unless <see cref="Intercept"/> answers in its place.</summary>
internal sealed class LoopbackHub : IDisposable
{
    public const string Id = "owner/tiny";
    public const string Commit = "0123456789abcdef0123456789abcdef01234567";

    private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
    private readonly CancellationTokenSource _stop = new();

    public LoopbackHub()
    {
        _listener.Start();
        Address = new Uri($"http://127.0.0.1:{((IPEndPoint)_listener.LocalEndpoint).Port}");
        _ = AcceptAsync();
    }

    public Uri Address { get; }

    public Dictionary<string, byte[]> Files { get; } = [];

    public ConcurrentQueue<HubRequest> Requests { get; } = [];

    /// <summary>Answers in place of the honest hub; null lets it answer.</summary>
    public Func<HubRequest, HubReply?>? Intercept { get; set; }

    /// <summary>The bytes of a request's body after which the connection closes; null reads all. The request has no body yet.</summary>
    public Func<HubRequest, int?>? CutRequest { get; set; }

    /// <summary>Where the content of large files lies, as on the real hub.</summary>
    public LoopbackHub? Store { get; set; }

    /// <summary>A complete model: 300,000 bytes of weights, a tokenizer, and files that nobody needs.</summary>
    public static LoopbackHub WithModel()
    {
        var hub = new LoopbackHub();
        hub.Files["config.json"] = "{\"model_type\": \"qwen2\"}"u8.ToArray();
        hub.Files["generation_config.json"] = "{\"eos_token_id\": 1}"u8.ToArray();
        hub.Files["vocab.json"] = "{}"u8.ToArray();
        hub.Files["merges.txt"] = "a b\n"u8.ToArray();
        hub.Files["model.safetensors"] = Bytes(300_000, seed: 1);
        hub.Files["pytorch_model.bin"] = Bytes(1000, seed: 2);
        hub.Files["onnx/model.onnx"] = Bytes(1000, seed: 3);
        hub.Files["README.md"] = "# tiny"u8.ToArray();
        return hub;
    }

    /// <summary>A data set with two configurations, each with two splits.</summary>
    public static LoopbackHub WithDataset()
    {
        var hub = new LoopbackHub();
        hub.Files["README.md"] = "# words"u8.ToArray();
        hub.Files["main/train-00000-of-00001.parquet"] = Bytes(300_000, seed: 1);
        hub.Files["main/test-00000-of-00001.parquet"] = Bytes(2000, seed: 2);
        hub.Files["socratic/train-00000-of-00001.parquet"] = Bytes(3000, seed: 3);
        hub.Files["socratic/test-00000-of-00001.parquet"] = Bytes(4000, seed: 4);
        return hub;
    }

    public static byte[] Bytes(int count, int seed)
    {
        var bytes = new byte[count];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    public HubOptions Options(TemporaryFolder cache) => new()
    {
        Endpoint = Address,
        CacheDirectory = cache.Path,
        Token = "",
        Offline = false,
        RetryDelay = TimeSpan.FromMilliseconds(1),
        StallTimeout = TimeSpan.FromSeconds(20),
    };

    /// <summary>Hash by which the hub names a file: SHA-256 of large ones, git's SHA-1 of the others.</summary>
    public static string HashOf(string name, byte[] content) => IsLarge(name)
        ? Convert.ToHexStringLower(SHA256.HashData(content))
#pragma warning disable CA5350 // git's naming, not security
        : Convert.ToHexStringLower(SHA1.HashData([.. Encoding.ASCII.GetBytes($"blob {content.Length}\0"), .. content]));
#pragma warning restore CA5350

    public IEnumerable<HubRequest> Gets(string file) =>
        Requests.Where(request => request.Method == "GET" && request.Path.EndsWith("/" + file, StringComparison.Ordinal));

    public HubReply Honest(HubRequest request)
    {
        if (request.Path.StartsWith("/api/", StringComparison.Ordinal))
        {
            return Json(new { sha = Commit, siblings = Files.Keys.Select(name => new { rfilename = name }) });
        }

        string name = request.Path[(request.Path.IndexOf(Commit, StringComparison.Ordinal) + Commit.Length + 1)..];
        if (!Files.TryGetValue(name, out byte[]? content))
        {
            return new HubReply(404);
        }

        string hash = HashOf(name, content);
        var headers = new Dictionary<string, string> { ["ETag"] = $"\"{hash}\"", ["X-Repo-Commit"] = Commit };
        if (IsLarge(name) && Store is not null)
        {
            headers["ETag"] = "\"of-the-redirect\"";
            headers["X-Linked-Etag"] = $"\"{hash}\"";
            headers["X-Linked-Size"] = content.Length.ToString(CultureInfo.InvariantCulture);
            headers["Location"] = Store.Address + request.Path[1..] + "?signature=secret-signature";
            return new HubReply(302) { Headers = headers };
        }

        bool mayContinue = request.Header("If-Range") is not { } validator || validator == headers["ETag"];
        if (request.Header("Range") is { } range && mayContinue)
        {
            int from = int.Parse(range["bytes=".Length..].TrimEnd('-'), CultureInfo.InvariantCulture);
            if (from >= content.Length)
            {
                return new HubReply(416);
            }

            headers["Content-Range"] = $"bytes {from}-{content.Length - 1}/{content.Length}";
            return new HubReply(206) { Headers = headers, Body = content[from..] };
        }

        return new HubReply(200) { Headers = headers, Body = content };
    }

    public static HubReply Json(object value) => new(200) { Body = JsonSerializer.SerializeToUtf8Bytes(value) };

    /// <summary>From now on nobody listens.</summary>
    public void Stop()
    {
        _stop.Cancel();
        _listener.Stop();
    }

    public void Dispose()
    {
        Stop();
        _stop.Dispose();
    }

    private static bool IsLarge(string name) =>
        name.EndsWith(".safetensors", StringComparison.Ordinal) || name.EndsWith(".parquet", StringComparison.Ordinal);

    private async Task AcceptAsync()
    {
        CancellationToken stopped = _stop.Token;
        try
        {
            while (true)
            {
                TcpClient client = await _listener.AcceptTcpClientAsync(stopped);
                _ = ServeAsync(client, stopped);
            }
        }
        catch (Exception e) when (e is OperationCanceledException or SocketException or ObjectDisposedException)
        {
            // the test is over
        }
    }

    private async Task ServeAsync(TcpClient client, CancellationToken stopped)
    {
        using (client)
        {
            try
            {
                await using NetworkStream stream = client.GetStream();
                if (await ReadHeadAsync(stream, stopped) is { } head && await ReadBodyAsync(stream, head, stopped) is { } request)
                {
                    Requests.Enqueue(request);
                    HubReply reply = Intercept?.Invoke(request) ?? Honest(request);
                    if (!reply.IsDropped)
                    {
                        await WriteAsync(stream, request, reply, stopped);
                    }
                }
            }
            catch (Exception e) when (e is IOException or OperationCanceledException or SocketException or ObjectDisposedException)
            {
                // the client went away, as some tests ask it to
            }
        }
    }

    // Byte by byte, so that the body stays in the stream.
    private static async Task<HubRequest?> ReadHeadAsync(Stream stream, CancellationToken stopped)
    {
        var head = new List<byte>();
        var next = new byte[1];
        while (head.Count < 4 || !head[^4..].SequenceEqual("\r\n\r\n"u8.ToArray()))
        {
            if (await stream.ReadAsync(next, stopped) == 0)
            {
                return null;
            }

            head.Add(next[0]);
        }

        string[] lines = Encoding.Latin1.GetString([.. head]).Split("\r\n");
        var headers = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        foreach (string line in lines.Skip(1).Where(line => line.Length > 0))
        {
            int colon = line.IndexOf(':', StringComparison.Ordinal);
            headers[line[..colon]] = line[(colon + 1)..].Trim();
        }

        string[] parts = lines[0].Split(' '), address = parts[1].Split('?', 2);
        return new HubRequest(parts[0], address[0], headers) { Query = address.Length > 1 ? address[1] : "" };
    }

    private async Task<HubRequest?> ReadBodyAsync(Stream stream, HubRequest head, CancellationToken stopped)
    {
        int length = head.Header("Content-Length") is { } announced ? int.Parse(announced, CultureInfo.InvariantCulture) : 0;
        int? cut = CutRequest?.Invoke(head);
        var body = new byte[Math.Min(length, cut ?? length)];
        await stream.ReadExactlyAsync(body, stopped);
        return cut is null ? head with { Body = body } : null;
    }

    private static async Task WriteAsync(Stream stream, HubRequest request, HubReply reply, CancellationToken stopped)
    {
        var head = new StringBuilder($"HTTP/1.1 {reply.Status} X\r\nConnection: close\r\n");
        foreach ((string name, string value) in reply.Headers)
        {
            head.Append(CultureInfo.InvariantCulture, $"{name}: {value}\r\n");
        }

        if (!reply.WithoutLength && !reply.Headers.ContainsKey("Content-Length"))
        {
            head.Append(CultureInfo.InvariantCulture, $"Content-Length: {reply.Body.Length}\r\n");
        }

        await stream.WriteAsync(Encoding.Latin1.GetBytes(head.Append("\r\n").ToString()), stopped);
        if (request.Method == "HEAD")
        {
            return;
        }

        await stream.WriteAsync(reply.Body.AsMemory(0, reply.CutAfter ?? reply.StallAfter ?? reply.Body.Length), stopped);
        await stream.FlushAsync(stopped);
        if (reply.StallAfter is not null)
        {
            await Task.Delay(Timeout.Infinite, stopped);
        }
    }
}
