namespace Grpo;

/// <summary>Options of a a GrpoOptimizer.</summary>
public sealed record GrpoOptions
{
}
