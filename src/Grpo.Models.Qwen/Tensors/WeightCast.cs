using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tensors;

/// <summary>Converts weights to the type of a pass. The gradient of a converted weight arrives in the weight's own type.</summary>
internal static class WeightCast
{
    /// <summary>Returns the tensor itself if it has the type, else a copy that the caller's scope owns.</summary>
    internal static Tensor In(this Tensor values, ScalarType type) => values.dtype == type ? values : values.to(type);
}
