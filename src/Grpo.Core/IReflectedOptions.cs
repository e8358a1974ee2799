using System.Diagnostics.CodeAnalysis;

namespace Grpo;

/// <summary>
/// Marks options and methods whose public properties are found by reflection, for checkpoints, reports and texts. Without it trimming
/// removes properties that an application does not use, and the checkpoint would lack them silently.
/// </summary>
[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicProperties)]
internal interface IReflectedOptions
{
}
