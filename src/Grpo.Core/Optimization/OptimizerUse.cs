using System.Runtime.CompilerServices;

namespace Grpo.Optimization;

/// <summary>Lets the members of a <see cref="GrpoOptimizer"/> run one at a time, and none after it was disposed.</summary>
/// <param name="owner">The optimizer.</param>
/// <param name="free">Frees what it owns; called once, when neither an operation nor a training run is under way.</param>
internal sealed class OptimizerUse(GrpoOptimizer owner, Action free) : IDisposable
{
    private readonly Lock _gate = new();
    private int _holders; // operations and runs that are under way
    private bool _isDisposed;
    private bool _isFreed;

    /// <summary>Begins an operation.</summary>
    /// <param name="member">The member that was called.</param>
    /// <returns>The operation, which ends when it is disposed.</returns>
    /// <exception cref="ObjectDisposedException">The optimizer was disposed.</exception>
    /// <exception cref="InvalidOperationException">Something else is at work on the policy.</exception>
    public IDisposable Begin([CallerMemberName] string member = "")
    {
        lock (_gate)
        {
            RequireAlive();
            return Hold(PolicyUse.BeginOperation(owner.Policy, $"{nameof(GrpoOptimizer)}.{member}"));
        }
    }

    /// <summary>
    /// Begins an operation that changes nothing. A run that is under way while the optimizer is disposed still writes its last checkpoint.
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

    /// <summary>Begins a training run, which has several operations.</summary>
    /// <param name="member">The run, for messages.</param>
    /// <returns>The run, which ends when it is disposed.</returns>
    /// <exception cref="ObjectDisposedException">The optimizer was disposed.</exception>
    /// <exception cref="InvalidOperationException">Another run trains the policy.</exception>
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

    /// <summary>Frees what the optimizer owns: at once, or when the operation or the run that is under way has ended.</summary>
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
