using Grpo.IO;

namespace Grpo.Hub;

/// <summary>A pattern of paths: <c>*</c> and <c>?</c> stand for characters within a name, <c>**</c> also for whole folders.</summary>
/// <remarks>The time is linear in the length of the path: all positions in the pattern are followed at once.</remarks>
internal sealed class PathPattern
{
    private const int MaxLength = 512;
    private readonly List<Token> _tokens = [];

    /// <exception cref="ArgumentException">The pattern is empty or too long.</exception>
    public PathPattern(string pattern)
    {
        if (string.IsNullOrEmpty(pattern) || pattern.Length > MaxLength)
        {
            throw new ArgumentException(
                $"The pattern '{TerminalText.EscapeLine(pattern)}' must have 1 to {MaxLength} characters, such as *.safetensors.");
        }

        // Without '/' the pattern is compared with the name in every folder.
        string whole = pattern.Contains('/', StringComparison.Ordinal) ? pattern.TrimStart('/') : $"**/{pattern}";
        for (int i = 0; i < whole.Length; i++)
        {
            ReadOnlySpan<char> rest = whole.AsSpan(i);
            (Token token, int length) = rest switch
            {
                ['*', '*', '/', ..] => (new Token(Kind.Folders), 3),
                ['*', '*', ..] => (new Token(Kind.Anything), 2),
                ['*', ..] => (new Token(Kind.Characters), 1),
                ['?', ..] => (new Token(Kind.Character), 1),
                _ => (new Token(Kind.Literal, rest[0]), 1),
            };
            _tokens.Add(token);
            i += length - 1;
        }
    }

    private enum Kind
    {
        Literal,
        Character,
        Characters,
        Anything,
        Folders,
    }

    /// <summary>True if a path with '/' between folders matches.</summary>
    public bool IsMatch(string path)
    {
        // reached[i]: the first i tokens match what was read.
        var reached = new bool[_tokens.Count + 1];
        reached[0] = true;
        SkipEmpty(reached, isStartOfName: true);
        foreach (char character in path)
        {
            var next = new bool[reached.Length];
            for (int i = 0; i < _tokens.Count; i++)
            {
                if (reached[i])
                {
                    Step(_tokens[i], character, next, i);
                }
            }

            SkipEmpty(next, isStartOfName: character == '/');
            reached = next;
        }

        return reached[^1];
    }

    private static void Step(Token token, char character, bool[] next, int i)
    {
        bool matches = token.Kind switch
        {
            Kind.Literal => character == token.Character,
            Kind.Character or Kind.Characters => character != '/',
            _ => true,
        };
        bool stays = token.Kind is not (Kind.Literal or Kind.Character);
        next[stays ? i : i + 1] |= matches;
    }

    // Some tokens match nothing. Folders end only before a name.
    private void SkipEmpty(bool[] reached, bool isStartOfName)
    {
        for (int i = 0; i < _tokens.Count; i++)
        {
            reached[i + 1] |= reached[i]
                && (_tokens[i].Kind is Kind.Characters or Kind.Anything || (_tokens[i].Kind == Kind.Folders && isStartOfName));
        }
    }

    private readonly record struct Token(Kind Kind, char Character = '\0');
}
