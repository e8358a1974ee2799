using Grpo.IO;

namespace Grpo.Planning;

/// <summary>Whether a run fits into an amount of memory, and if not, what would make it fit.</summary>
public sealed record MemoryVerdict
{
    /// <summary>What the run needs as it is.</summary>
    public required MemoryPlan Plan { get; init; }

    /// <summary>The amount, bytes.</summary>
    public required long Available { get; init; }

    /// <summary>Changes of which each makes the run fit by itself, the cheapest first; empty when it fits, or when nothing helps.</summary>
    public required IReadOnlyList<MemoryRemedy> Remedies { get; init; }

    /// <summary>The change that needs least and still does not fit; null when the run fits or a remedy exists.</summary>
    public MemoryRemedy? Least { get; init; }

    /// <summary>Whether the run fits as it is.</summary>
    public bool Fits => Plan.Peak <= Available;

    /// <summary>The verdict, and one line per change.</summary>
    public override string ToString() => string.Join('\n', [Words(), .. Changes().Select(change => $"  {change}")]);

    /// <summary>The same in one sentence.</summary>
    internal string ToSentence() => Changes() is { Length: > 0 } changes ? $"{Words()} {string.Join("; ", changes)}" : Words();

    private string Words() =>
        Fits ? $"fits into {ByteText.Of(Available)}"
        : Remedies.Count > 0 ? $"does not fit into {ByteText.Of(Available)}; each of these would:"
        : Least is null ? $"does not fit into {ByteText.Of(Available)}"
        : $"does not fit into {ByteText.Of(Available)}; lower MaxPromptTokens or MaxCompletionTokens, or take more memory. Not even this is enough:";

    private string[] Changes() => [.. Remedies.Select(remedy => remedy.ToString()), .. Least is null ? Array.Empty<string>() : [Least.ToString()]];
}
