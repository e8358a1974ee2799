using System.Runtime.Intrinsics;

namespace Grpo.Models.Qwen.Tests;

/// <summary>A test of kernels that need vectors of 512 bits.</summary>
public sealed class VectorFactAttribute : FactAttribute
{
    public VectorFactAttribute() => Skip = Vector512.IsHardwareAccelerated ? null : "The processor has no vectors of 512 bits.";
}
