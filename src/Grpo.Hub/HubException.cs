using Grpo.IO;

namespace Grpo.Hub;

/// <summary>
/// The exception for a failed download from the hub or a failed upload. Its message explains the failure and the remedy, and never holds a
/// token.
/// </summary>
public class HubException : IOException
{
    /// <summary>Creates an exception with an explanation.</summary>
    /// <param name="message">
    /// The failure and its remedy. Line ends and terminal control characters are escaped, so that the message is one line.
    /// </param>
    /// <param name="innerException">The cause; null if there is none.</param>
    public HubException(string message, Exception? innerException = null)
        : base(TerminalText.EscapeLine(message), innerException)
    {
    }
}

/// <summary>
/// The exception for a failure that may pass: no connection, a cut or stalled transfer, an overloaded server. The request is retried.
/// </summary>
internal sealed class HubTransientException(string message, Exception? innerException = null, TimeSpan? retryAfter = null)
    : HubException(message, innerException)
{
    /// <summary>The wait that the server asked for; null if it asked for none.</summary>
    public TimeSpan? RetryAfter { get; } = retryAfter;
}
