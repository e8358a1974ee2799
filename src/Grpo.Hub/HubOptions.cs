using Microsoft.Extensions.Logging;

namespace Grpo.Hub;

/// <summary>Where and how <see cref="HubClient"/> downloads. What is null follows the environment variables of Python's huggingface_hub.</summary>
public sealed class HubOptions
{
    /// <summary>Branch, tag or commit.</summary>
    /// <value>Default "main".</value>
    public string Revision { get; set; } = "main";

    /// <summary>The hub's address: https, or http on this machine.</summary>
    /// <value>Default null: HF_ENDPOINT, else https://huggingface.co.</value>
    public Uri? Endpoint { get; set; }

    /// <summary>The folder that holds <c>models--owner--name</c> and <c>datasets--owner--name</c>.</summary>
    /// <value>Default null: HF_HUB_CACHE, else <c>hub</c> in HF_HOME, else <c>~/.cache/huggingface/hub</c>.</value>
    public string? CacheDirectory { get; set; }

    /// <summary>The access token; sent to <see cref="Endpoint"/> only and never written anywhere.</summary>
    /// <value>Default null: HF_TOKEN, else the file that <c>hf auth login</c> writes. Empty: none.</value>
    public string? Token { get; set; }

    /// <summary>Whether to use the cache alone, without network.</summary>
    /// <value>Default null: HF_HUB_OFFLINE.</value>
    public bool? Offline { get; set; }

    /// <summary>Longest silence of the server before the connection is given up and tried again.</summary>
    /// <value>Above 0, to one hour; default 30 seconds.</value>
    public TimeSpan StallTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Attempts in a row without a mebibyte of progress before the download fails.</summary>
    /// <value>1 to 100; default 5.</value>
    public int MaxAttempts { get; set; } = 5;

    /// <summary>Wait before the second attempt; it doubles with each further one, to at most 30 seconds.</summary>
    /// <value>0 to 30 seconds; default 1 second.</value>
    public TimeSpan RetryDelay { get; set; } = TimeSpan.FromSeconds(1);

    /// <summary>Receives the progress of each file.</summary>
    /// <value>Default null: none.</value>
    public IProgress<HubProgress>? Progress { get; set; }

    /// <summary>Receives a warning for every attempt that failed and when the cache stands in for an unreachable hub.</summary>
    /// <value>Default null: none.</value>
    public ILogger? Logger { get; set; }

    /// <summary>Sends the requests, in place of the built-in handler. It must not follow redirects by itself and is not disposed.</summary>
    /// <value>Default null: the built-in handler, with the system's proxy.</value>
    public HttpMessageHandler? MessageHandler { get; set; }
}
