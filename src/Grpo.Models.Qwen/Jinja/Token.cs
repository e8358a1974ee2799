namespace Grpo.Models.Qwen.Jinja;

/// <summary>The kind of a token.</summary>
internal enum TokenKind
{
    Data,
    VariableBegin,
    VariableEnd,
    BlockBegin,
    BlockEnd,
    Name,
    Text,
    Integer,
    Float,
    Operator,
    End,
}

/// <summary>A token of a template.</summary>
/// <param name="Kind">The kind.</param>
/// <param name="Text">The name, the operator, the digits, or the content of a string without quotes and escapes.</param>
/// <param name="At">The place of the first character.</param>
internal readonly record struct Token(TokenKind Kind, string Text, Mark At)
{
    /// <summary>True if the token is this operator.</summary>
    public bool Is(string operation) => Kind == TokenKind.Operator && Text == operation;

    /// <summary>True if the token is this name.</summary>
    public bool IsName(string name) => Kind == TokenKind.Name && Text == name;

    /// <summary>The token for an error message.</summary>
    public string Shown => Kind switch
    {
        TokenKind.Data => "text",
        TokenKind.VariableBegin => "'{{'",
        TokenKind.VariableEnd => "'}}'",
        TokenKind.BlockBegin => "'{%'",
        TokenKind.BlockEnd => "'%}'",
        TokenKind.End => "the end of the template",
        TokenKind.Text => $"the string '{Shorten(Text)}'",
        _ => $"'{Shorten(Text)}'",
    };

    private static string Shorten(string text) => text.Length <= 60 ? text : text[..60] + "…";
}
