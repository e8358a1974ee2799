using System.Runtime.CompilerServices;

namespace Grpo.Optimization;

/// <summary>The claims on a policy, which ensure that only one operation at a time trains, saves or replaces its weights.</summary>
/// <remarks>They belong to the policy's module, so that two optimizers, trainers or wrappers of one model see each other.</remarks>
internal sealed class PolicyUse
{
    private static readonly ConditionalWeakTable<object, PolicyUse> Uses = [];

    private string? _operation;
    private string? _run;

    /// <summary>Claims a policy for one operation, such as a step.</summary>
    /// <param name="policy">The policy.</param>
    /// <param name="member">The name of the operation for messages.</param>
    /// <returns>The claim, which ends when it is disposed.</returns>
    /// <exception cref="InvalidOperationException">Another operation has claimed the policy.</exception>
    public static IDisposable BeginOperation(IPolicy policy, string member)
    {
        PolicyUse use = Find(policy);
        return Interlocked.CompareExchange(ref use._operation, member, null) is { } other
            ? throw Refuse(member, other, "")
            : new Claim(() => Volatile.Write(ref use._operation, null));
    }

    /// <summary>Claims a policy for a training run. Between the steps of the run, the policy may be saved and evaluated.</summary>
    /// <param name="policy">The policy.</param>
    /// <param name="member">The name of the run for messages.</param>
    /// <returns>The claim, which ends when it is disposed.</returns>
    /// <exception cref="InvalidOperationException">Another run has claimed the policy.</exception>
    public static IDisposable BeginRun(IPolicy policy, string member)
    {
        PolicyUse use = Find(policy);
        return Interlocked.CompareExchange(ref use._run, member, null) is { } other
            ? throw Refuse(member, other, " (leaving its loop ends it)")
            : new Claim(() => Volatile.Write(ref use._run, null));
    }

    private static PolicyUse Find(IPolicy policy) => Uses.GetOrCreateValue(policy.Module);

    private static InvalidOperationException Refuse(string member, string other, string how) => new(
        $"{member} cannot start: {other} is at work on the same policy. Await its end first{how}, or give each a policy of its own.");

    private sealed class Claim(Action end) : IDisposable
    {
        private Action? _end = end;

        public void Dispose() => Interlocked.Exchange(ref _end, null)?.Invoke();
    }
}
