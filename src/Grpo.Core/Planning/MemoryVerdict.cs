using Grpo.IO;

namespace Grpo.Planning;

/// <summary>The answer to whether a run fits into a given amount of memory, with the changes that would make it fit.</summary>
public sealed record MemoryVerdict
{
    /// <summary>The memory that the run needs without any change.</summary>
    public required MemoryPlan Plan { get; init; }

    /// <summary>The available memory in bytes.</summary>
    public required long Available { get; init; }

    /// <summary>The changes that each make the run fit by themselves, the cheapest first. Empty if the run fits or nothing helps.</summary>
    public required IReadOnlyList<MemoryRemedy> Remedies { get; init; }

    /// <summary>The change with the lowest peak if even that does not fit; null if the run fits or a remedy exists.</summary>
    public MemoryRemedy? Least { get; init; }

    /// <summary>True if the run fits without any change.</summary>
    public bool Fits => Plan.Peak <= Available;

    /// <summary>Formats the verdict, followed by one line per change.</summary>
    public override string ToString() => string.Join('\n', [Words(), .. Changes().Select(change => $"  {change}")]);

    /// <summary>Formats the verdict and the changes as one sentence.</summary>
    internal string ToSentence() => Changes() is { Length: > 0 } changes ? $"{Words()} {string.Join("; ", changes)}" : Words();

    private string Words() =>
        Fits ? $"fits into {ByteText.Format(Available)}"
        : Remedies.Count > 0 ? $"does not fit into {ByteText.Format(Available)}; each of these would:"
        : Least is null ? $"does not fit into {ByteText.Format(Available)}"
        : $"does not fit into {ByteText.Format(Available)}; lower MaxPromptTokens or MaxCompletionTokens, or take more memory. "
            + "Not even this is enough:";

    private string[] Changes() =>
        [.. Remedies.Select(remedy => remedy.ToString()), .. Least is null ? Array.Empty<string>() : [Least.ToString()]];
}

/// <summary>A change of options that lowers the peak memory of a run.</summary>
/// <param name="Change">The setting to change, in words.</param>
/// <param name="Peak">The peak of the run with the change, in bytes.</param>
public sealed record MemoryRemedy(string Change, long Peak)
{
    /// <summary>Formats the change and its peak.</summary>
    public override string ToString() => $"{Change}: {ByteText.Format(Peak)}";
}
