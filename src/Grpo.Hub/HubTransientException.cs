namespace Grpo.Hub;

/// <summary>A failure that may pass: no connection, a cut, a stall, an overloaded server. Worth another attempt.</summary>
internal sealed class HubTransientException(string message, Exception? innerException = null, TimeSpan? retryAfter = null)
    : HubException(message, innerException)
{
    /// <summary>The wait that the server asked for.</summary>
    public TimeSpan? RetryAfter { get; } = retryAfter;
}
