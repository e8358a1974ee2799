using System.Globalization;
using Grpo.IO;

namespace Grpo.Models.Qwen;

/// <summary>
/// The exception for a chat template that cannot be interpreted, or that cannot render a conversation. Its message names the line, the
/// column and the construct.
/// </summary>
public sealed class ChatTemplateException : NotSupportedException
{
    /// <summary>Creates an exception with a place in the template.</summary>
    /// <param name="message">The failure and its remedy. Terminal control characters are escaped.</param>
    /// <param name="line">The line in the template. The first line is 1.</param>
    /// <param name="column">The column in UTF-16 code units. The first column is 1.</param>
    public ChatTemplateException(string message, int line, int column)
        : base(string.Create(
            CultureInfo.InvariantCulture, $"Chat template, line {line}, column {column}: {TerminalText.EscapeLine(message)}"))
    {
        Line = line;
        Column = column;
    }

    /// <summary>The line in the template. The first line is 1.</summary>
    public int Line { get; }

    /// <summary>The column in UTF-16 code units. The first column is 1.</summary>
    public int Column { get; }
}
