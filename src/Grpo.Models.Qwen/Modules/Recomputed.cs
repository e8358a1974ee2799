using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>
/// A cheap function that keeps nothing but its arguments for the backward pass, which runs it again, with gradients. What lies between, as large as
/// what comes out, would be a fifth of the activations; running it again is a hundredth of an update.
/// </summary>
/// <remarks>
/// The gradients are those of the function itself, bit for bit. It must compute the same both times, and can be gone back through once.
/// </remarks>
internal sealed class Recomputed : SafeFunction<Recomputed>
{
    private const string FunctionKey = "function";

    /// <inheritdoc/>
    public override string Name => nameof(Recomputed);

    /// <summary>Runs the function.</summary>
    /// <param name="function">Of the arguments alone; its result is owned by the caller's scope.</param>
    /// <param name="arguments">Borrowed.</param>
    /// <returns>Owned by the caller's scope.</returns>
    internal static Tensor Run(Func<IReadOnlyList<Tensor>, Tensor> function, params Tensor[] arguments) =>
        is_grad_enabled() && Array.Exists(arguments, argument => argument.requires_grad) ? apply([.. arguments, function]) : function(arguments);

    /// <inheritdoc/>
    protected override Tensor Compute(autograd.AutogradContext context, object[] inputs)
    {
        List<Tensor> arguments = [.. inputs.OfType<Tensor>()];
        var function = (Func<IReadOnlyList<Tensor>, Tensor>)inputs[^1];
        context.set_materialize_grads(false);
        context.save_for_backward(arguments);
        context.save_data(FunctionKey, function);
        return function(arguments);
    }

    /// <inheritdoc/>
    protected override List<Tensor> Differentiate(autograd.AutogradContext context, Tensor gradient)
    {
        using Tensor owned = gradient;
        using var scope = TensorScope.Begin();
        using IDisposable withGradients = enable_grad();
        List<Tensor> saved = context.get_saved_variables();
        var function = (Func<IReadOnlyList<Tensor>, Tensor>)context.get_data(FunctionKey);
        context.Dispose(); // torch's own functions forget what they saved once they have run; one in C# would keep it until the whole pass has ended
        if (gradient.IsInvalid)
        {
            return [.. saved.Select(_ => (Tensor)null!), null!];
        }

        Tensor[] arguments = [.. saved.Select(argument => argument.detach().requires_grad_(argument.requires_grad))];
        Tensor result = function(arguments);
        autograd.backward([result], [gradient]);
        var gradients = new List<Tensor>();
        foreach (Tensor argument in arguments)
        {
            gradients.Add(argument.grad is { } own ? scope.Keep(own) : null!);
        }

        return [.. gradients, null!];
    }
}
