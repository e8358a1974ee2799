using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Grpo.Hub;

/// <summary>The checked <see cref="HubOptions"/>, completed from the environment by the rules of Python's huggingface_hub.</summary>
internal sealed class HubSettings
{
    private HubSettings()
    {
    }

    public required string Revision { get; init; }

    public required Uri Endpoint { get; init; }

    public required string CacheDirectory { get; init; }

    public required string? Token { get; init; }

    /// <summary>The secret that masks <see cref="Token"/> in text that a server has influenced.</summary>
    public required HubSecret Secret { get; init; }

    public required bool Offline { get; init; }

    public required TimeSpan StallTimeout { get; init; }

    public required int MaxAttempts { get; init; }

    public required TimeSpan RetryDelay { get; init; }

    public required IProgress<HubProgress>? Progress { get; init; }

    public required ILogger Logger { get; init; }

    public required HttpMessageHandler? MessageHandler { get; init; }

    /// <summary>Checks options and completes them from the environment.</summary>
    /// <param name="options">The options of the caller.</param>
    /// <param name="environment">Returns an environment variable by name; null if it is not set.</param>
    /// <param name="home">The user's home folder.</param>
    public static HubSettings Resolve(HubOptions options, Func<string, string?> environment, string home)
    {
        (TimeSpan stall, int attempts, TimeSpan delay) = (options.StallTimeout, options.MaxAttempts, options.RetryDelay);
        Require(stall > TimeSpan.Zero && stall <= TimeSpan.FromHours(1), nameof(HubOptions.StallTimeout), stall, "above 0, to one hour");
        Require(attempts is >= 1 and <= 100, nameof(HubOptions.MaxAttempts), attempts, "1 to 100");
        Require(delay >= TimeSpan.Zero && delay <= TimeSpan.FromSeconds(30), nameof(HubOptions.RetryDelay), delay, "0 to 30 seconds");

        string hubHome = Set("HF_HOME") ?? Path.Combine(Set("XDG_CACHE_HOME") ?? Path.Combine(home, ".cache"), "huggingface");
        string? token = CheckToken(options.Token ?? Set("HF_TOKEN") ?? Set("HUGGING_FACE_HUB_TOKEN")
            ?? ReadTokenFile(ExpandHome(Set("HF_TOKEN_PATH") ?? Path.Combine(hubHome, "token"), home)));
        var secret = new HubSecret(token);
        return new HubSettings
        {
            Revision = HubNames.RequireRevision(options.Revision),
            Endpoint = RequireSecure(options.Endpoint ?? ParseEndpoint(Set("HF_ENDPOINT"))),
            CacheDirectory = Path.GetFullPath(ExpandHome(
                options.CacheDirectory ?? Set("HF_HUB_CACHE") ?? Set("HUGGINGFACE_HUB_CACHE") ?? Path.Combine(hubHome, "hub"), home)),
            Token = token,
            Secret = secret,
            Offline = options.Offline ?? (IsTrue(Set("HF_HUB_OFFLINE")) || IsTrue(Set("TRANSFORMERS_OFFLINE"))),
            StallTimeout = stall,
            MaxAttempts = attempts,
            RetryDelay = delay,
            Progress = options.Progress,
            Logger = secret.Guard(options.Logger ?? NullLogger.Instance),
            MessageHandler = options.MessageHandler,
        };

        string? Set(string name) => environment(name) is { Length: > 0 } value ? value : null;
    }

    /// <summary>True for https, and for http from this machine to itself.</summary>
    public static bool IsSecure(Uri address) =>
        address.Scheme == Uri.UriSchemeHttps || (address.Scheme == Uri.UriSchemeHttp && address.IsLoopback);

    private static Uri ParseEndpoint(string? value) =>
        Uri.TryCreate(value ?? "https://huggingface.co", UriKind.Absolute, out Uri? endpoint)
            ? endpoint
            : throw new HubException(
                $"HF_ENDPOINT is '{WithoutPassword(value!)}', which is no address. Give one such as https://huggingface.co, or unset it.");

    private static Uri RequireSecure(Uri endpoint)
    {
        if (!endpoint.IsAbsoluteUri || !IsSecure(endpoint))
        {
            string shown = endpoint.IsAbsoluteUri
                ? endpoint.GetComponents(UriComponents.SchemeAndServer, UriFormat.UriEscaped)
                : WithoutPassword(endpoint.ToString());
            throw new HubException($"The hub's address is '{shown}'; it must be https, or http on this machine.");
        }

        return endpoint.UserInfo.Length == 0 && endpoint.Query.Length == 0
            ? endpoint
            : throw new HubException(
                $"The hub's address on {endpoint.Host} holds a user name, password or query. Give the token in HF_TOKEN instead.");
    }

    // The text before an '@' may be a password, even in a malformed address.
    private static string WithoutPassword(string address) => address[(address.LastIndexOf('@') + 1)..];

    private static string? ReadTokenFile(string path)
    {
        if (!File.Exists(path))
        {
            return null;
        }

        using var reader = new StreamReader(path);
        var buffer = new char[4096];
        return new string(buffer, 0, reader.ReadBlock(buffer)).Trim();
    }

    private static string? CheckToken(string? token)
    {
        string? trimmed = token?.Trim();
        if (string.IsNullOrEmpty(trimmed))
        {
            return null;
        }

        // The token is not shown, because messages end up in logs.
        return trimmed.All(character => character is > ' ' and <= '~')
            ? trimmed
            : throw new HubException(
                "The access token (HF_TOKEN or the token file) holds characters that no token has. Copy it again from the hub.");
    }

    private static string ExpandHome(string path, string home) =>
        path == "~" || path.StartsWith("~/", StringComparison.Ordinal) ? Path.Combine(home, path[1..].TrimStart('/')) : path;

    private static bool IsTrue(string? value) => value?.ToUpperInvariant() is "1" or "ON" or "YES" or "TRUE";

    private static void Require(bool holds, string name, object value, string range)
    {
        if (!holds)
        {
            throw new ArgumentOutOfRangeException(name, value, $"{name} must be {range}.");
        }
    }
}
