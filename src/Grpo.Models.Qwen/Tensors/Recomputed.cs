using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tensors;

/// <summary>A cheap function that saves only its arguments for the backward pass, which then computes the function again.</summary>
/// <remarks>
/// The intermediate results of such functions would be a fifth of all activations; computing them again takes a hundredth of an update. The
/// gradients are bit for bit those of the function itself. The function must compute the same both times. Only one backward pass can run
/// through the result.
/// </remarks>
internal sealed class Recomputed : SafeFunction<Recomputed>
{
    private const string FunctionKey = "function";

    /// <inheritdoc/>
    public override string Name => nameof(Recomputed);

    /// <summary>Runs the function.</summary>
    /// <param name="function">A function of the arguments alone. Its result is owned by the caller's scope.</param>
    /// <param name="arguments">The arguments. Borrowed.</param>
    /// <returns>The result. Owned by the caller's scope.</returns>
    internal static Tensor Run(Func<IReadOnlyList<Tensor>, Tensor> function, params Tensor[] arguments) =>
        is_grad_enabled() && Array.Exists(arguments, argument => argument.requires_grad)
            ? apply([.. arguments, function])
            : function(arguments);

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
        context.Dispose(); // frees the saved tensors now; a function in C# would keep them until the whole pass has ended
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
