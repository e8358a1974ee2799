namespace Grpo;

/// <summary>What one step did.</summary>
public sealed record StepReport
{
}
