using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>
/// A base class for autograd functions with one result whose backward pass may throw. <see cref="BackwardPass.Run"/> rethrows the
/// exception; with torch's own base class it would end the process.
/// </summary>
/// <typeparam name="T">The derived function itself.</typeparam>
public abstract class SafeFunction<T> : autograd.SingleTensorFunction<T>
    where T : SafeFunction<T>, new()
{
    private const string FailureKey = "failure";
    private const string InputsKey = "inputs";

    // Returned instead of gradients after a failure. The engine refuses gradients of the meta device, whatever their shape. Nothing has to
    // be allocated then, when memory may be exhausted.
    private static readonly Lazy<Tensor> Refused = new(static () =>
    {
        using var scope = TensorScope.BeginNoGrad();
        return scope.Release(empty(1, device: META));
    });

    /// <inheritdoc/>
    public sealed override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        ArgumentNullException.ThrowIfNull(ctx);
        FreedMemory.TrimExcess();
        _ = Refused.Value;
        ctx.save_data(FailureKey, BackwardPass.OfThisThread);
        ctx.save_data(InputsKey, vars.Select(input => input is Tensor).ToArray());
        return Compute(ctx, vars);
    }

    /// <inheritdoc/>
    public sealed override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        ArgumentNullException.ThrowIfNull(ctx);
        FreedMemory.TrimExcess();
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

    /// <summary>
    /// Asks for a check of numbers after the backward pass, so that the pass does not wait for the device.
    /// </summary>
    /// <param name="context">The context of the function.</param>
    /// <param name="numbers">The numbers, [n] float32 on the device. Taken from all scopes.</param>
    /// <param name="check">The check, which throws if a number is wrong. <see cref="BackwardPass.Run"/> throws its exception.</param>
    private protected static void CheckLater(autograd.AutogradContext context, Tensor numbers, Action<float[]> check) =>
        ((BackwardPass.Failure)context.get_data(FailureKey)).Add(numbers, check);

    /// <summary>Computes the function. Runs on the thread that called <c>apply</c>, without recording gradients.</summary>
    /// <param name="context">The context, which saves what the backward pass needs.</param>
    /// <param name="inputs">The arguments of <c>apply</c>.</param>
    /// <returns>The result of the function.</returns>
    protected abstract Tensor Compute(autograd.AutogradContext context, object[] inputs);

    /// <summary>
    /// Computes the gradients of the inputs during a backward pass. With tensors on a GPU it runs on one of torch's own threads.
    /// </summary>
    /// <param name="context">The context with what the forward pass saved.</param>
    /// <param name="gradient">The gradient of the result. The function must free it. Invalid if nothing depends on the result.</param>
    /// <returns>One gradient per input, null if there is none. New tensors of any scope, which are freed once torch holds them.</returns>
    protected abstract List<Tensor> Differentiate(autograd.AutogradContext context, Tensor gradient);
}
