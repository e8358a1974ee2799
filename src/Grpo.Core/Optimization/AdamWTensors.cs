using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>What one parameter's update reads and writes; four tensors of one shape.</summary>
/// <param name="Weight">Written.</param>
/// <param name="Gradient">Scaled in place.</param>
/// <param name="FirstMoment">Written.</param>
/// <param name="SecondMoment">Written.</param>
internal readonly record struct AdamWTensors(Tensor Weight, Tensor Gradient, Tensor FirstMoment, Tensor SecondMoment);
