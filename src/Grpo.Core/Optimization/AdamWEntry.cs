using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>A parameter that an optimizer step changes.</summary>
/// <param name="Index">Its place among the trained parameters.</param>
/// <param name="Weight">Contiguous float32.</param>
/// <param name="Gradient">The same; scaled in place.</param>
internal readonly record struct AdamWEntry(int Index, Tensor Weight, Tensor Gradient);
