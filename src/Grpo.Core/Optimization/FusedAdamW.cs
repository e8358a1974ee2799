using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>PyTorch's fused AdamW operator, which updates weight and moments in place and in one pass, on any device.</summary>
/// <remarks>
/// TorchSharp does not expose the operator, so a TorchScript function calls it. Per parameter only list entries are allocated.
/// </remarks>
internal sealed class FusedAdamW : IAdamWUpdate
{
    // The list of maxima, which only amsgrad uses, stays empty. The operator divides the gradients by grad_scale in place.
    private const string Script =
        """
        def adamw(weights: List[Tensor], gradients: List[Tensor], first: List[Tensor], second: List[Tensor],
                  steps: List[Tensor], scale: Tensor, constants: Tensor):
            maxima: List[Tensor] = []
            torch._fused_adamw_(
                weights, gradients, first, second, maxima, steps, lr=float(constants[0]), beta1=float(constants[1]),
                beta2=float(constants[2]), weight_decay=float(constants[3]), eps=float(constants[4]), amsgrad=False,
                maximize=False, grad_scale=scale)
            return len(weights)

        """;

    private static readonly Lazy<jit.CompilationUnit> Compiled = new(() => jit.compile(Script));

    private readonly IReadOnlyList<AdamWTensors> _tensors;
    private readonly object[] _arguments;

    private FusedAdamW(IReadOnlyList<AdamWTensors> tensors, object[] arguments) => (_tensors, _arguments) = (tensors, arguments);

    /// <summary>Allocates everything that an update needs, and changes nothing yet.</summary>
    /// <param name="tensors">The tensors, contiguous float32, all on one device. At least one. Borrowed.</param>
    /// <param name="step">The number of this update, from 1.</param>
    /// <param name="learningRate">The learning rate.</param>
    /// <param name="weightDecay">The weight decay of all these weights.</param>
    /// <param name="gradientScale">The factor of the gradients. Above 0.</param>
    /// <param name="options">The other constants.</param>
    /// <returns>The update, which must be applied in the caller's scope.</returns>
    public static FusedAdamW Prepare(
        IReadOnlyList<AdamWTensors> tensors, long step, double learningRate, double weightDecay, double gradientScale, AdamWOptions options)
    {
        using var scope = TensorScope.BeginNoGrad();
        Device device = tensors[0].Weight.device;
        foreach (AdamWTensors entry in tensors)
        {
            TensorGuard.RequireSameDevice(entry.Gradient, nameof(entry.Gradient), entry.Weight);
            TensorGuard.RequireSameDevice(entry.FirstMoment, nameof(entry.FirstMoment), entry.Weight);
            TensorGuard.RequireSameDevice(entry.SecondMoment, nameof(entry.SecondMoment), entry.Weight);
        }

        Tensor count = scope.Keep(DeviceTransfer.ToDevice(torch.tensor((float)step, device: CPU), device));
        Tensor divisor = scope.Keep(DeviceTransfer.ToDevice(torch.tensor((float)(1 / gradientScale), device: CPU), device));

        // The constants are passed as a tensor of doubles. TorchSharp passes numbers to a script through objects that the garbage
        // collector may free before the call.
        Tensor constants = scope.Keep(torch.tensor(
            new[] { learningRate, options.Beta1, options.Beta2, weightDecay, options.Epsilon }, device: CPU));
        _ = Compiled.Value;
        return new FusedAdamW(tensors,
        [
            tensors.Select(entry => entry.Weight).ToArray(),
            tensors.Select(entry => entry.Gradient).ToArray(),
            tensors.Select(entry => entry.FirstMoment).ToArray(),
            tensors.Select(entry => entry.SecondMoment).ToArray(),
            tensors.Select(_ => count).ToArray(),
            divisor, constants,
        ]);
    }

    /// <inheritdoc/>
    /// <remarks>The operator works in place and allocates no memory.</remarks>
    public void Apply()
    {
        using var scope = TensorScope.BeginNoGrad();
        Compiled.Value.invoke("adamw", _arguments);
        GC.KeepAlive(_tensors);
    }
}
