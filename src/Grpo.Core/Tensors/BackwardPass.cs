using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>Runs backward passes and rethrows exceptions of autograd functions written in C# to the caller.</summary>
/// <remarks>
/// An exception that leaves a backward callback of torch's own base class ends the process. <see cref="SafeFunction{T}"/> keeps the
/// exception until the pass returns.
/// </remarks>
public static class BackwardPass
{
    [ThreadStatic]
    private static Failure? t_failure;

    /// <summary>Backpropagates a loss: adds its gradients to those of the leaves that it depends on.</summary>
    /// <param name="loss">The loss, a scalar that was computed on this thread. Borrowed.</param>
    /// <exception cref="ExternalException">
    /// libtorch failed or is out of memory. Some leaves may have their gradients, others not.
    /// </exception>
    /// <remarks>An exception of a <see cref="SafeFunction{T}"/> is rethrown unchanged.</remarks>
    public static void Run(Tensor loss)
    {
        ArgumentNullException.ThrowIfNull(loss);
        Failure failure = OfThisThread;
        failure.Take();
        try
        {
            loss.backward();
        }
        catch (ExternalException) when (failure.Take() is { } cause)
        {
            ExceptionDispatchInfo.Throw(cause); // the native error only says that the function failed
        }
        finally
        {
            ReturnedGradients.Free();
        }

        if (failure.Take() is { } unnoticed)
        {
            ExceptionDispatchInfo.Throw(unnoticed); // gradients are missing, although the native side reported no error
        }
    }

    /// <summary>
    /// Holds the exception of functions that were applied on this thread. Their backward passes may run on another thread.
    /// </summary>
    internal static Failure OfThisThread => t_failure ??= new Failure();

    /// <summary>Holds the first exception of a backward pass.</summary>
    internal sealed class Failure
    {
        private Exception? _first;

        public void Record(Exception exception) => Interlocked.CompareExchange(ref _first, exception, null);

        public Exception? Take() => Interlocked.Exchange(ref _first, null);
    }
}

/// <summary>
/// Owns the gradients that a C# function returned to torch. Torch references them only after the callback has ended, so no scope of the
/// callback may own them. A scope of the caller would keep those of all layers until it ends.
/// </summary>
internal static class ReturnedGradients
{
    [ThreadStatic]
    private static IReadOnlyList<Tensor?>? t_last;

    /// <summary>
    /// Takes ownership of the gradients that a callback returns, and frees those of the previous callback, which torch holds by now.
    /// </summary>
    internal static void Hold(IReadOnlyList<Tensor?> gradients)
    {
        foreach (Tensor? gradient in gradients)
        {
            gradient?.DetachFromDisposeScope();
        }

        Free();
        t_last = gradients;
    }

    /// <summary>Frees the gradients of this thread's last callback. Must not be called within a callback.</summary>
    internal static void Free()
    {
        foreach (Tensor? gradient in t_last ?? [])
        {
            gradient?.Dispose();
        }

        t_last = null;
    }
}
