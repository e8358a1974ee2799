using Grpo.IO;

namespace Grpo.Tensors;

/// <summary>Collects the problems of a file, so that one exception lists them all. The length of its message is bounded.</summary>
internal sealed class SafetensorsProblems(string subject)
{
    private const int Listed = 20;
    private const int LongestName = 200;

    private readonly List<string> _problems = [];
    private int _count;

    public bool Any => _count > 0;

    public void Add(string problem)
    {
        _count++;
        if (_problems.Count < Listed)
        {
            _problems.Add(problem);
        }
    }

    /// <summary>Throws if at least one problem was added.</summary>
    /// <exception cref="InvalidDataException">At least one problem was added.</exception>
    public void ThrowIfAny()
    {
        if (!Any)
        {
            return;
        }

        if (_count == 1)
        {
            throw new InvalidDataException($"{subject}: {_problems[0]}.");
        }

        string more = _count > _problems.Count ? $"\n- and {_count - _problems.Count} more." : "";
        string list = string.Concat(_problems.Select(problem => $"\n- {problem}."));
        throw new InvalidDataException($"{subject}: {_count} problems.{list}{more}");
    }

    /// <summary>Shortens and escapes a name from the file, so that it is safe in a message.</summary>
    public static string Quote(string name)
    {
        // Never cut a surrogate pair: half of one would be shown as damage.
        int end = name.Length <= LongestName ? name.Length : LongestName - (char.IsHighSurrogate(name[LongestName - 1]) ? 1 : 0);
        return $"'{TerminalText.EscapeLine(name[..end])}{(end < name.Length ? "…" : "")}'";
    }

    public static string Shape(IEnumerable<long> shape) => $"[{string.Join(", ", shape)}]";
}
