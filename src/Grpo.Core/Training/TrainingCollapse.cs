namespace Grpo.Training;

/// <summary>A collapse that a trainer has found.</summary>
/// <param name="Step">The step after which it was found, or whose update failed.</param>
/// <param name="Reason">What fell past which bound, in words and numbers.</param>
/// <param name="Action">What was done: <see cref="CollapseAction.Stop"/> also when there was nothing left to roll back to.</param>
/// <param name="RestoredStep">The step of the checkpoint that was put back; null without a roll-back.</param>
public sealed record TrainingCollapse(long Step, string Reason, CollapseAction Action, long? RestoredStep = null);
