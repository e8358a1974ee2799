namespace Grpo.Callbacks;

/// <summary>One record of the file: where it is, not what is in it.</summary>
/// <param name="Kind">What it holds.</param>
/// <param name="Step">Its step; 0 for <see cref="FlightKind.Settings"/>.</param>
/// <param name="Position">Of its first byte.</param>
/// <param name="Length">Bytes of its payload.</param>
internal readonly record struct FlightFrame(FlightKind Kind, long Step, long Position, int Length);
