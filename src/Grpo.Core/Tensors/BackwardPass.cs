using System.Collections.Concurrent;
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
        using PendingChecks checks = RunWithoutChecks(loss);
        if (checks.Count > 0)
        {
            using var scope = TensorScope.BeginNoGrad();
            checks.Verify(DeviceTransfer.ToArray<float>(cat([.. checks.Numbers])));
        }
    }

    /// <summary>
    /// Backpropagates a loss as <see cref="Run"/> does, but leaves the numbers that its functions want to check on the device. The caller
    /// copies them together with its own, which saves a wait for the device.
    /// </summary>
    /// <param name="loss">The loss, a scalar that was computed on this thread. Borrowed.</param>
    /// <returns>The checks, which the caller disposes.</returns>
    /// <exception cref="ExternalException">libtorch failed or is out of memory.</exception>
    internal static PendingChecks RunWithoutChecks(Tensor loss)
    {
        ArgumentNullException.ThrowIfNull(loss);
        Failure failure = OfThisThread;
        failure.BeginPass();
        PendingChecks? checks = null;
        try
        {
            loss.backward();
            checks = failure.TakeChecks();
        }
        catch (ExternalException) when (failure.Take() is { } cause)
        {
            ExceptionDispatchInfo.Throw(cause); // the native error only says that the function failed
        }
        finally
        {
            ReturnedGradients.Free();
            failure.EndPass();
            failure.TakeChecks().Dispose(); // those of a pass that failed
        }

        if (failure.Take() is { } unnoticed)
        {
            checks?.Dispose();
            ExceptionDispatchInfo.Throw(unnoticed); // gradients are missing, although the native side reported no error
        }

        return checks!;
    }

    /// <summary>
    /// Holds the exception of functions that were applied on this thread. Their backward passes may run on another thread.
    /// </summary>
    internal static Failure OfThisThread => t_failure ??= new Failure();

    /// <summary>Holds the first exception of a backward pass, and the checks of its functions.</summary>
    internal sealed class Failure
    {
        private readonly ConcurrentQueue<(Tensor Numbers, Action<float[]> Check)> _checks = [];
        private Exception? _first;
        private volatile bool _isRunning;

        /// <summary>Forgets exceptions and checks of passes that were not run by <see cref="BackwardPass"/>.</summary>
        public void BeginPass()
        {
            Take();
            TakeChecks().Dispose();
            _isRunning = true;
        }

        public void EndPass() => _isRunning = false;

        /// <summary>
        /// Adds a check of numbers on the device, which is made after the pass. Outside a pass of <see cref="BackwardPass"/> nobody would
        /// make it, so it is made at once.
        /// </summary>
        /// <param name="numbers">The numbers, [n] float32. Taken from all scopes.</param>
        /// <param name="check">The check, which throws if a number is wrong.</param>
        public void Add(Tensor numbers, Action<float[]> check)
        {
            if (_isRunning)
            {
                _checks.Enqueue((numbers.DetachFromDisposeScope(), check));
            }
            else
            {
                check(DeviceTransfer.ToArray<float>(numbers));
            }
        }

        /// <summary>Returns the checks of the pass, which the caller disposes.</summary>
        public PendingChecks TakeChecks()
        {
            var taken = new List<(Tensor Numbers, Action<float[]> Check)>();
            while (_checks.TryDequeue(out (Tensor Numbers, Action<float[]> Check) next))
            {
                taken.Add(next);
            }

            return new PendingChecks(taken);
        }

        public void Record(Exception exception) => Interlocked.CompareExchange(ref _first, exception, null);

        public Exception? Take() => Interlocked.Exchange(ref _first, null);
    }
}

/// <summary>The checks that the functions of a backward pass asked for, with the numbers to check on the device.</summary>
/// <param name="checks">The numbers, [n] float32 each, and the check that reads them.</param>
internal sealed class PendingChecks(IReadOnlyList<(Tensor Numbers, Action<float[]> Check)> checks) : IDisposable
{
    /// <summary>No checks.</summary>
    public static PendingChecks None { get; } = new([]);

    /// <summary>The numbers of each check. Borrowed.</summary>
    public IEnumerable<Tensor> Numbers => checks.Select(check => check.Numbers);

    /// <summary>The number of numbers in total.</summary>
    public int Count => checks.Sum(check => (int)check.Numbers.numel());

    /// <summary>Makes the checks in the order of <see cref="Numbers"/>.</summary>
    /// <param name="numbers">The concatenated numbers on the CPU.</param>
    public void Verify(ReadOnlySpan<float> numbers)
    {
        foreach ((Tensor tensor, Action<float[]> check) in checks)
        {
            int count = (int)tensor.numel();
            check(numbers[..count].ToArray());
            numbers = numbers[count..];
        }
    }

    /// <summary>Frees the numbers.</summary>
    public void Dispose()
    {
        foreach ((Tensor numbers, _) in checks)
        {
            numbers.Dispose();
        }
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
