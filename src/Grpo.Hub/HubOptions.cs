using Microsoft.Extensions.Logging;

namespace Grpo.Hub;

/// <summary>The options of <see cref="HubClient"/>. Null values follow the environment variables of Python's huggingface_hub.</summary>
public sealed class HubOptions
{
    /// <summary>The branch, tag or commit to download.</summary>
    /// <value>Default "main".</value>
    public string Revision { get; set; } = "main";

    /// <summary>The address of the hub: https, or http on this machine.</summary>
    /// <value>Default null: HF_ENDPOINT, else https://huggingface.co.</value>
    public Uri? Endpoint { get; set; }

    /// <summary>The folder of the cache, which holds <c>models--owner--name</c> and <c>datasets--owner--name</c>.</summary>
    /// <value>Default null: HF_HUB_CACHE, else <c>hub</c> in HF_HOME, else <c>~/.cache/huggingface/hub</c>.</value>
    public string? CacheDirectory { get; set; }

    /// <summary>The access token. It is sent to <see cref="Endpoint"/> only and never written anywhere.</summary>
    /// <value>Default null: HF_TOKEN, else the file that <c>hf auth login</c> writes. An empty text means no token.</value>
    public string? Token { get; set; }

    /// <summary>True to use only the cache, without network.</summary>
    /// <value>Default null: HF_HUB_OFFLINE.</value>
    public bool? Offline { get; set; }

    /// <summary>The longest time without data from the server before the connection is closed and retried.</summary>
    /// <value>Greater than 0 and at most one hour; default 30 seconds.</value>
    public TimeSpan StallTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>The number of attempts in a row without a mebibyte of progress after which the download fails.</summary>
    /// <value>1 to 100; default 5.</value>
    public int MaxAttempts { get; set; } = 5;

    /// <summary>The wait before the second attempt. It doubles with each further attempt, up to 30 seconds.</summary>
    /// <value>0 to 30 seconds; default 1 second.</value>
    public TimeSpan RetryDelay { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>The receiver of the progress of each file.</summary>
    /// <value>Default null: none.</value>
    public IProgress<HubProgress>? Progress { get; set; }

    /// <summary>The logger that receives a warning for every failed attempt, and if the cache replaces an unreachable hub.</summary>
    /// <value>Default null: none.</value>
    public ILogger? Logger { get; set; }

    /// <summary>The handler that sends the requests. It must not follow redirects, and the client does not dispose it.</summary>
    /// <value>Default null: the built-in handler, with the system's proxy.</value>
    public HttpMessageHandler? MessageHandler { get; set; }
}

/// <summary>The progress of the download of one file.</summary>
/// <param name="File">The name of the file in the repository.</param>
/// <param name="FileNumber">The number of the file in this download, from 1.</param>
/// <param name="FileCount">The number of files known so far. It grows when an index names the weight files.</param>
/// <param name="BytesReceived">The number of bytes on disk, including those of an earlier, interrupted download.</param>
/// <param name="BytesTotal">The size of the file in bytes.</param>
public readonly record struct HubProgress(string File, int FileNumber, int FileCount, long BytesReceived, long BytesTotal);
