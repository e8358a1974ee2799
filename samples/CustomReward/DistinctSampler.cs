namespace Grpo.Samples.CustomReward;

/// <summary>A sampler that wraps another one. It samples twice as many completions as requested and prefers distinct texts.</summary>
/// <remarks>
/// Equal completions get equal rewards and teach less than different ones. The price is a bias: the completions are no longer distributed
/// as the policy's samples, so the gradient favors rare texts.
/// </remarks>
public sealed class DistinctSampler(IGroupSampler inner) : IGroupSampler, IHasIdentity
{
    // A resumed run compares this identity. Without it, only the name of the type would be compared.
    public PlugInIdentity Identity => new PlugInIdentity("distinct of twice as many").WithPart("inner", inner);

    public async ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
        IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default)
    {
        IReadOnlyList<RolloutGroup> groups = await inner.SampleAsync(
            policy, request with { GroupSize = 2 * request.GroupSize }, cancellationToken);
        return [.. groups.Select(group => group with { Completions = Choose(group.Completions, request.GroupSize) })];
    }

    private static IReadOnlyList<Completion> Choose(IReadOnlyList<Completion> completions, int count)
    {
        var first = new HashSet<string>(StringComparer.Ordinal);
        return [.. completions.OrderBy(completion => first.Add(completion.Text) ? 0 : 1).Take(count)];
    }
}
