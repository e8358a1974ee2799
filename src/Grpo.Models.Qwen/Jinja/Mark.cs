namespace Grpo.Models.Qwen.Jinja;

/// <summary>A place in the text of a template.</summary>
/// <param name="Line">The line. The first line is 1.</param>
/// <param name="Column">The column in UTF-16 code units. The first column is 1.</param>
internal readonly record struct Mark(int Line, int Column)
{
    /// <summary>Creates the exception for a failure at this place.</summary>
    public ChatTemplateException Error(string message) => new(message, Line, Column);
}
