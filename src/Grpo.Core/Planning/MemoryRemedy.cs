using Grpo.Callbacks;
using Grpo.IO;

namespace Grpo.Planning;

/// <summary>A change that makes a run fit into memory.</summary>
/// <param name="Change">What to set, in words.</param>
/// <param name="Peak">What the run would then need at its peak, bytes.</param>
public sealed record MemoryRemedy(string Change, long Peak)
{
    /// <summary>The change with its peak.</summary>
    public override string ToString() => $"{Change}: {ByteText.Of(Peak)}";
}
