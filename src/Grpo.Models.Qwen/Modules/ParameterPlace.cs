using Grpo.Tensors;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>Where and in what type the parameters of a model live.</summary>
/// <param name="Device">The device.</param>
/// <param name="Type">The element type.</param>
internal readonly record struct ParameterPlace(Device Device, ScalarType Type)
{
    /// <summary>A parameter without defined values, owned by nobody but the module that keeps it.</summary>
    internal Parameter Allocate(params long[] shape)
    {
        using var scope = TensorScope.Begin();
        var parameter = new Parameter(empty(shape, Type, Device));
        scope.Release(parameter);
        return parameter;
    }
}
