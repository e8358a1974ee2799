using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>torch's fused AdamW: one pass over weight, gradient and moments, in place, on any device.</summary>
/// <remarks>
/// TorchSharp does not expose the operator; a script of one line does. Nothing is allocated per parameter but list entries.
/// </remarks>
internal sealed class FusedAdamW : IAdamWUpdate
{
    // amsgrad needs the list of maxima, which stays empty. grad_scale divides the gradients, also in memory.
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

    /// <summary>Makes everything that an update needs; nothing changes yet.</summary>
    /// <param name="tensors">Contiguous, float32, all on one device; at least one. Borrowed.</param>
    /// <param name="step">Of this update, from 1.</param>
    /// <param name="learningRate">The learning rate.</param>
    /// <param name="weightDecay">Of all these weights.</param>
    /// <param name="gradientScale">Multiplies the gradients; above 0.</param>
    /// <param name="options">The other constants.</param>
    /// <returns>The update, to be applied in the caller's scope.</returns>
    public static FusedAdamW Prepare(
        IReadOnlyList<AdamWTensors> tensors, long step, double learningRate, double weightDecay, double gradientScale, AdamWOptions options)
    {
        using var scope = TensorScope.BeginNoGrad();
        Device device = tensors[0].Weight.device;
        Tensor count = scope.Keep(torch.tensor((float)step, device: device));
        Tensor divisor = scope.Keep(torch.tensor((float)(1 / gradientScale), device: device));

        // As a tensor, in double precision: TorchSharp hands numbers to a script through objects that may be collected before
        // the call is made.
        Tensor constants = scope.Keep(torch.tensor(new[] { learningRate, options.Beta1, options.Beta2, weightDecay, options.Epsilon }));
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
    /// <remarks>In place: the operator allocates nothing.</remarks>
    public void Apply()
    {
        using var scope = TensorScope.BeginNoGrad();
        Compiled.Value.invoke("adamw", _arguments);
        GC.KeepAlive(_tensors);
    }
}
