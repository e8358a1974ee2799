using Grpo.IO;

namespace Grpo.Models.Qwen;

/// <summary>A download from the hub failed; the message says what was tried and what to do. It never holds a token.</summary>
public class HubException : IOException
{
    /// <summary>An error with its explanation.</summary>
    /// <param name="message">
    /// What happened and what to do. Line ends and what a terminal would obey are made visible, so that it is one line.
    /// </param>
    /// <param name="innerException">The cause, if there is one.</param>
    public HubException(string message, Exception? innerException = null)
        : base(TerminalText.EscapeLine(message), innerException)
    {
    }
}
