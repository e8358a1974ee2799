namespace Grpo.Losses;

/// <summary>Bounds on the probability ratio w = π/π_old.</summary>
/// <param name="Low">ε_low: below 1 − ε_low a negative advantage has no gradient.</param>
/// <param name="High">ε_high: above 1 + ε_high a positive advantage has no gradient.</param>
/// <param name="Cap">δ: above it a negative advantage has no gradient either; null for none.</param>
public readonly record struct ClipRange(double Low, double High, double? Cap = null);
