namespace Grpo.Callbacks;

/// <summary>An optimizer step as it was and as it came out again.</summary>
/// <param name="Recorded">As it was; null when there was none.</param>
/// <param name="Recomputed">As it came out; null when there was none.</param>
public sealed record ReplayedUpdate(FlightUpdate? Recorded, FlightUpdate? Recomputed);
