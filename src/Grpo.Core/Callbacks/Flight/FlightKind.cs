namespace Grpo.Callbacks;

/// <summary>What a record holds.</summary>
internal enum FlightKind : byte
{
    Settings = 1,
    Step = 2,
}
