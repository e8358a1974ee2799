using Grpo.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tensors;

/// <summary>The device and element type of new parameters and tensors of a model.</summary>
/// <param name="Device">The device.</param>
/// <param name="Type">The element type.</param>
internal readonly record struct ParameterPlacement(Device Device, ScalarType Type)
{
    /// <summary>True if the projections of the layers are stored in 4 bits.</summary>
    public bool HasFourBitProjections { get; init; }

    /// <summary>Allocates a parameter without defined values. No scope owns it, only the module that keeps it.</summary>
    internal Parameter Allocate(params long[] shape)
    {
        using var scope = TensorScope.Begin();
        var parameter = new Parameter(empty(shape, Type, Device));
        scope.Release(parameter);
        return parameter;
    }
}
