using System.Runtime.CompilerServices;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>The tokens of a template with a reading position, and the nesting of what is read.</summary>
internal sealed class TokenStream(IReadOnlyList<Token> tokens, int deepest)
{
    private int _position;
    private int _depth;

    /// <summary>The next token.</summary>
    public Token Current => tokens[_position];

    /// <summary>The token after the next one.</summary>
    public Token Following => tokens[Math.Min(_position + 1, tokens.Count - 1)];

    /// <summary>Returns the next token and moves past it.</summary>
    public Token Take()
    {
        Token token = tokens[_position];
        _position = Math.Min(_position + 1, tokens.Count - 1);
        return token;
    }

    /// <summary>The number of tokens before the reading position.</summary>
    public int Position => _position;

    /// <summary>True if a name stands between a position and the reading position.</summary>
    public bool HasName(string name, int from)
    {
        for (int i = from; i < _position; i++)
        {
            if (tokens[i].IsName(name))
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Moves past an operator if it is next.</summary>
    public bool Skip(string operation)
    {
        bool isNext = Current.Is(operation);
        _position += isNext ? 1 : 0;
        return isNext;
    }

    /// <summary>Moves past a name if it is next.</summary>
    public bool SkipName(string name)
    {
        bool isNext = Current.IsName(name);
        _position += isNext ? 1 : 0;
        return isNext;
    }

    /// <summary>Requires an operator.</summary>
    public Token Expect(string operation) => Current.Is(operation) ? Take() : throw Unexpected($"'{operation}'");

    /// <summary>Requires a kind of token.</summary>
    public Token Expect(TokenKind kind, string wanted) => Current.Kind == kind ? Take() : throw Unexpected(wanted);

    /// <summary>Creates the exception for a token that does not fit.</summary>
    public ChatTemplateException Unexpected(string wanted) => Current.At.Error($"{wanted} is expected, not {Current.Shown}.");

    /// <summary>Enters a nested expression or statement.</summary>
    /// <exception cref="ChatTemplateException">The text is nested too deeply.</exception>
    public void Enter()
    {
        if (++_depth > deepest || !RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw Current.At.Error($"statements and expressions are nested more than {deepest} deep. Nest the template less.");
        }
    }

    /// <summary>Leaves it.</summary>
    public void Leave() => _depth--;
}
