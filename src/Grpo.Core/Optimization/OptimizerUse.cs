using System.Runtime.CompilerServices;

namespace Grpo;

/// <summary>Lets the members of a <see cref="GrpoOptimizer"/> run one at a time, and none after it was disposed.</summary>
/// <param name="owner">The optimizer.</param>
/// <param name="free">Frees what it owns; called once, when nothing runs.</param>
internal sealed class OptimizerUse(GrpoOptimizer owner, Action free) : IDisposable
{
    private readonly Lock _gate = new();
    private bool _isBusy;
    private bool _isDisposed;

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
            var operation = new Operation(this, PolicyUse.BeginOperation(owner.Policy, $"{nameof(GrpoOptimizer)}.{member}"));
            _isBusy = true;
            return operation;
        }
    }

    /// <summary>Requires that the optimizer was not disposed.</summary>
    public void RequireAlive() => ObjectDisposedException.ThrowIf(_isDisposed, owner);

    /// <summary>Frees what the optimizer owns: at once, or when the operation that runs has ended.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            bool frees = !_isDisposed && !_isBusy;
            _isDisposed = true;
            if (frees)
            {
                free();
            }
        }
    }

    private void End(IDisposable claim)
    {
        lock (_gate)
        {
            _isBusy = false;
            claim.Dispose();
            if (_isDisposed)
            {
                free();
            }
        }
    }

    private sealed class Operation(OptimizerUse use, IDisposable claim) : IDisposable
    {
        public void Dispose() => use.End(claim);
    }
}
