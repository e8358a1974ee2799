namespace Grpo.Samples.CustomReward;

/// <summary>
/// A sampler of one's own around another: samples twice as many completions as asked for and prefers texts that the group does not
/// have yet, since two equal completions get two equal rewards and teach less than two different ones. What is preferred is no longer
/// a fair draw from the policy: the gradient is biased towards rare texts, a price that one pays knowingly.
/// </summary>
public sealed class DistinctSampler(IGroupSampler inner) : IGroupSampler, IHasIdentity
{
    // A run that resumes is compared with this: without it, only with the name of the type.
    public PlugInIdentity Identity => new PlugInIdentity("distinct of twice as many").WithPart("inner", inner);

    public async ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default)
    {
        IReadOnlyList<RolloutGroup> groups = await inner.SampleAsync(policy, request with { GroupSize = 2 * request.GroupSize }, cancellationToken);
        return [.. groups.Select(group => group with { Completions = Choose(group.Completions, request.GroupSize) })];
    }

    private static IReadOnlyList<Completion> Choose(IReadOnlyList<Completion> completions, int count)
    {
        var first = new HashSet<string>(StringComparer.Ordinal);
        return [.. completions.OrderBy(completion => first.Add(completion.Text) ? 0 : 1).Take(count)];
    }
}
