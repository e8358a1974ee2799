using System.Globalization;
using Grpo.IO;

namespace Grpo.Planning;

/// <summary>How much memory a run is going to need, worked out before anything is run. <see cref="ToString"/> is the table to read.</summary>
public sealed record MemoryPlan
{
    /// <summary>What is held, when, and how much of it.</summary>
    public required IReadOnlyList<MemoryLine> Lines { get; init; }

    /// <summary>Most that is held at a time while completions are sampled, bytes.</summary>
    public required long RolloutPeak { get; init; }

    /// <summary>
    /// Most that is held at a time while the policy is trained, bytes. Not the sum of the lines: gradients arrive as activations go, and the
    /// logits are there only at the turning point.
    /// </summary>
    public required long UpdatePeak { get; init; }

    /// <summary>Most that is held at a time; sampling and training do not overlap.</summary>
    public long Peak => Math.Max(RolloutPeak, UpdatePeak);

    /// <summary>One line per subject and the two peaks, for people.</summary>
    public override string ToString()
    {
        int width = Lines.Max(line => line.What.Length);
        IEnumerable<string> lines = Lines.Select(line => string.Create(
            CultureInfo.InvariantCulture, $"{line.What.PadRight(width)}  {ByteText.Of(line.Bytes),8}  {Word(line.Held),-7}  {line.Sizes}").TrimEnd());
        return string.Join('\n', [.. lines, Peaks()]);
    }

    /// <summary>The peaks and all lines, in one sentence.</summary>
    internal string ToSentence() =>
        $"{Peaks()} ({string.Join(", ", Lines.Select(line => $"{line.What} {ByteText.Of(line.Bytes)}"))})";

    private string Peaks() => $"at most {ByteText.Of(Peak)}: {ByteText.Of(RolloutPeak)} in the rollout, {ByteText.Of(UpdatePeak)} in the update";

    private static string Word(MemoryPhase phase) => phase switch
    {
        MemoryPhase.Always => "always",
        MemoryPhase.Rollout => "rollout",
        MemoryPhase.Update => "update",
        _ => throw new ArgumentOutOfRangeException(nameof(phase), phase, "Not a phase."),
    };
}
