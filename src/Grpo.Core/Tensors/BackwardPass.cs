using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using static TorchSharp.torch;

namespace Grpo.Tensors;

/// <summary>Runs backward passes through functions that are written in C#, so that what they throw is caught where the pass was begun.</summary>
/// <remarks>An exception that leaves the backward callback of torch's own base class ends the process. <see cref="SafeFunction{T}"/> keeps it.</remarks>
public static class BackwardPass
{
    [ThreadStatic]
    private static Failure? t_failure;

    /// <summary>Adds the gradients of a loss to those of the leaves that it depends on.</summary>
    /// <param name="loss">A scalar that was computed on this thread. Borrowed.</param>
    /// <exception cref="ExternalException">libtorch failed, or has no memory left. Some leaves may have received their gradients, others not.</exception>
    /// <remarks>An exception of a <see cref="SafeFunction{T}"/> comes through as it was thrown.</remarks>
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
            ExceptionDispatchInfo.Throw(cause); // the native side only knows that the function did not answer
        }
        finally
        {
            ReturnedGradients.Free();
        }

        if (failure.Take() is { } unnoticed)
        {
            ExceptionDispatchInfo.Throw(unnoticed); // gradients are missing, whatever the native side made of it
        }
    }

    /// <summary>Where the functions that run on this thread leave what their backward pass throws, on whatever thread that runs.</summary>
    internal static Failure OfThisThread => t_failure ??= new Failure();

    /// <summary>The first exception of a pass.</summary>
    internal sealed class Failure
    {
        private Exception? _first;

        public void Record(Exception exception) => Interlocked.CompareExchange(ref _first, exception, null);

        public Exception? Take() => Interlocked.Exchange(ref _first, null);
    }
}
