using System.Runtime.CompilerServices;

namespace Grpo.Optimization;

/// <summary>Ensures that the operations of a <see cref="GrpoOptimizer"/> run one at a time, and none after it was disposed.</summary>
/// <param name="owner">The optimizer.</param>
/// <param name="free">Frees the memory of the optimizer. It is called once, when no operation or training run is active.</param>
internal sealed class OptimizerUse(GrpoOptimizer owner, Action free) : IDisposable
{
    private readonly Lock _gate = new();
    private int _holders; // the number of active operations and training runs
    private bool _isDisposed;
    private bool _isFreed;

    /// <summary>Begins an operation.</summary>
    /// <param name="member">The name of the called member for messages.</param>
    /// <returns>The operation, which ends when it is disposed.</returns>
    /// <exception cref="ObjectDisposedException">The optimizer was disposed.</exception>
    /// <exception cref="InvalidOperationException">Another operation is running on the policy.</exception>
    public IDisposable Begin([CallerMemberName] string member = "")
    {
        lock (_gate)
        {
            RequireAlive();
            return Hold(PolicyUse.BeginOperation(owner.Policy, $"{nameof(GrpoOptimizer)}.{member}"));
        }
    }

    /// <summary>
    /// Begins an operation that changes nothing. It is also allowed between the disposal and the end of an active training run, which
    /// still writes its last checkpoint.
    /// </summary>
    /// <inheritdoc cref="Begin"/>
    public IDisposable BeginSave([CallerMemberName] string member = "")
    {
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_isFreed, owner);
            return Hold(PolicyUse.BeginOperation(owner.Policy, $"{nameof(GrpoOptimizer)}.{member}"));
        }
    }

    /// <summary>Begins a training run, which consists of several operations.</summary>
    /// <param name="member">The name of the run for messages.</param>
    /// <returns>The run, which ends when it is disposed.</returns>
    /// <exception cref="ObjectDisposedException">The optimizer was disposed.</exception>
    /// <exception cref="InvalidOperationException">Another training run is active on the policy.</exception>
    public IDisposable BeginRun(string member)
    {
        lock (_gate)
        {
            RequireAlive();
            return Hold(PolicyUse.BeginRun(owner.Policy, member));
        }
    }

    /// <summary>Requires that the optimizer was not disposed.</summary>
    public void RequireAlive() => ObjectDisposedException.ThrowIf(_isDisposed, owner);

    /// <summary>Frees the memory of the optimizer, at once or when the active operation or training run has ended.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _isDisposed = true;
            FreeIfUnused();
        }
    }

    private Holder Hold(IDisposable claim)
    {
        _holders++;
        return new Holder(this, claim);
    }

    private void End(IDisposable claim)
    {
        lock (_gate)
        {
            _holders--;
            claim.Dispose();
            FreeIfUnused();
        }
    }

    private void FreeIfUnused()
    {
        if (_isDisposed && !_isFreed && _holders == 0)
        {
            _isFreed = true;
            free();
        }
    }

    private sealed class Holder(OptimizerUse use, IDisposable claim) : IDisposable
    {
        private IDisposable? _claim = claim;

        public void Dispose()
        {
            if (Interlocked.Exchange(ref _claim, null) is { } held)
            {
                use.End(held);
            }
        }
    }
}
