namespace Grpo.Testing;

/// <summary>Returns groups that the test has made, and never asks the policy.</summary>
/// <param name="sample">The groups of a request.</param>
public sealed class FixedSampler(Func<RolloutRequest, IReadOnlyList<RolloutGroup>> sample) : IGroupSampler
{
    private readonly List<RolloutRequest> _requests = [];

    /// <summary>Returns the same groups each time.</summary>
    /// <param name="groups">The groups.</param>
    public FixedSampler(params IReadOnlyList<RolloutGroup> groups)
        : this(_ => groups)
    {
    }

    /// <summary>What was asked for so far.</summary>
    public IReadOnlyList<RolloutRequest> Requests => _requests;

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
        IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default)
    {
        cancellationToken.ThrowIfCancellationRequested();
        _requests.Add(request);
        return ValueTask.FromResult(sample(request));
    }
}
