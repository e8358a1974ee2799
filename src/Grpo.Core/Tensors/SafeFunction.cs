using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>
/// An autograd function of one result whose backward pass may fail: it ends the pass with an exception, which <see cref="BackwardPass.Run"/>
/// hands on. Derived straight from torch's base class it would end the process.
/// </summary>
/// <typeparam name="T">The function itself.</typeparam>
public abstract class SafeFunction<T> : autograd.SingleTensorFunction<T>
    where T : SafeFunction<T>, new()
{
    private const string FailureKey = "failure";
    private const string InputsKey = "inputs";

    // In place of the gradients of a function that failed. The engine refuses a gradient from a device that is none, whatever its shape, and
    // nothing is allocated when there may be no memory.
    private static readonly Lazy<Tensor> Refused = new(static () =>
    {
        using var scope = TensorScope.BeginNoGrad();
        return scope.Release(empty(1, device: META));
    });

    /// <inheritdoc/>
    public sealed override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        ArgumentNullException.ThrowIfNull(ctx);
        FreedMemory.Bound();
        _ = Refused.Value;
        ctx.save_data(FailureKey, BackwardPass.OfThisThread);
        ctx.save_data(InputsKey, vars.Select(input => input is Tensor).ToArray());
        return Compute(ctx, vars);
    }

    /// <inheritdoc/>
    public sealed override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        ArgumentNullException.ThrowIfNull(ctx);
        FreedMemory.Bound();
        try
        {
            List<Tensor> gradients = Differentiate(ctx, grad_output);
            ReturnedGradients.Hold(gradients);
            return gradients;
        }
        catch (Exception exception)
        {
            ((BackwardPass.Failure)ctx.get_data(FailureKey)).Record(exception);
            return [.. ((bool[])ctx.get_data(InputsKey)).Select(isTensor => isTensor ? Refused.Value : null!)];
        }
    }

    /// <summary>The function. Runs where <c>apply</c> was called, without gradients.</summary>
    /// <param name="context">Takes what the backward pass needs.</param>
    /// <param name="inputs">What <c>apply</c> was given.</param>
    /// <returns>The result.</returns>
    protected abstract Tensor Compute(autograd.AutogradContext context, object[] inputs);

    /// <summary>Its derivative. Runs while a backward pass comes through, on one of torch's own threads where the tensors are on a device.</summary>
    /// <param name="context">What the forward pass left.</param>
    /// <param name="gradient">Of the result; the function's to free, and invalid where nothing depends on it.</param>
    /// <returns>One gradient per input, null where there is none. New tensors, in whatever scope: they are freed when torch has taken them.</returns>
    protected abstract List<Tensor> Differentiate(autograd.AutogradContext context, Tensor gradient);
}
