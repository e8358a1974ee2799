namespace Grpo.Benchmarks;

/// <summary>What a case took.</summary>
/// <param name="Seconds">Median of the quiet rounds, or of all where none was.</param>
/// <param name="QuietRounds">Rounds in which nothing else used the cores.</param>
/// <param name="Rounds">Rounds in all.</param>
internal readonly record struct Timing(double Seconds, int QuietRounds, int Rounds);
