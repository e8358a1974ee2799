using System.Diagnostics.CodeAnalysis;

namespace Grpo.Losses;

/// <summary>
/// Marks options and methods whose public properties are found by reflection: for checkpoints, reports and texts. Trimming would otherwise
/// remove a property that an application does not use, and the checkpoint would not tell that it was there.
/// </summary>
[DynamicallyAccessedMembers(DynamicallyAccessedMemberTypes.PublicProperties)]
internal interface IReflectedOptions
{
}
