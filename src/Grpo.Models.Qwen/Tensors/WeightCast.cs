using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tensors;

/// <summary>Weights in the type of a pass. Where they are cast, their gradients arrive in their own type.</summary>
internal static class WeightCast
{
    /// <summary>The tensor itself where it is of that type, else a copy owned by the caller's scope.</summary>
    internal static Tensor In(this Tensor values, ScalarType type) => values.dtype == type ? values : values.to(type);
}
