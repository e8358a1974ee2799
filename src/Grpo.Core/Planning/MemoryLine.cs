namespace Grpo.Planning;

/// <summary>One subject of a <see cref="MemoryPlan"/>.</summary>
/// <param name="What">Such as "gradients".</param>
/// <param name="Bytes">How many it takes.</param>
/// <param name="Held">When.</param>
/// <param name="Sizes">The sizes that it comes from, in words; null where there are none to name.</param>
public sealed record MemoryLine(string What, long Bytes, MemoryPhase Held, string? Sizes = null);
