using System.Globalization;
using Grpo.IO;

namespace Grpo.Planning;

/// <summary>
/// An estimate of the memory that a run will need, made before anything runs. <see cref="ToString"/> shows it as a table.
/// </summary>
public sealed record MemoryPlan
{
    /// <summary>The parts of the memory, such as weights and gradients: how many bytes each takes, and when.</summary>
    public required IReadOnlyList<MemoryLine> Lines { get; init; }

    /// <summary>The peak in bytes while completions are sampled.</summary>
    public required long RolloutPeak { get; init; }

    /// <summary>
    /// The peak in bytes while the policy is trained. It is less than the sum of the lines: activations are freed while gradients appear,
    /// and the logits exist only between the forward and the backward pass.
    /// </summary>
    public required long UpdatePeak { get; init; }

    /// <summary>The peak of the run in bytes: the larger of the two peaks, since sampling and training do not overlap.</summary>
    public long Peak => Math.Max(RolloutPeak, UpdatePeak);

    /// <summary>Formats the plan as a table with one line per part, followed by the two peaks.</summary>
    public override string ToString()
    {
        int width = Lines.Max(line => line.What.Length);
        IEnumerable<string> lines = Lines.Select(line => string.Create(
            CultureInfo.InvariantCulture,
            $"{line.What.PadRight(width)}  {ByteText.Format(line.Bytes),8}  {Word(line.Held),-7}  {line.Sizes}").TrimEnd());
        return string.Join('\n', [.. lines, Peaks()]);
    }

    /// <summary>Formats the peaks and all lines as one sentence.</summary>
    internal string ToSentence() =>
        $"{Peaks()} ({string.Join(", ", Lines.Select(line => $"{line.What} {ByteText.Format(line.Bytes)}"))})";

    private string Peaks() =>
        $"at most {ByteText.Format(Peak)}: {ByteText.Format(RolloutPeak)} in the rollout, {ByteText.Format(UpdatePeak)} in the update";

    private static string Word(MemoryPhase phase) => phase switch
    {
        MemoryPhase.Always => "always",
        MemoryPhase.Rollout => "rollout",
        MemoryPhase.Update => "update",
        _ => throw new ArgumentOutOfRangeException(nameof(phase), phase, "Not a phase."),
    };
}

/// <summary>One part of the memory in a <see cref="MemoryPlan"/>.</summary>
/// <param name="What">The name of the part, such as "gradients".</param>
/// <param name="Bytes">The number of bytes that the part takes.</param>
/// <param name="Held">The phase of the run in which the memory is held.</param>
/// <param name="Sizes">The sizes from which the bytes follow, in words; null if there are none to name.</param>
public sealed record MemoryLine(string What, long Bytes, MemoryPhase Held, string? Sizes = null);

/// <summary>The phase of a run in which memory is held.</summary>
public enum MemoryPhase
{
    /// <summary>The memory is held from the beginning of the run to its end.</summary>
    Always,

    /// <summary>The memory is held while completions are sampled.</summary>
    Rollout,

    /// <summary>The memory is held while the policy is trained.</summary>
    Update,
}
