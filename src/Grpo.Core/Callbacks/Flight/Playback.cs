using Grpo.Optimization;
using Grpo.Rollouts;

namespace Grpo.Callbacks;

/// <summary>Sampler and reward of a recorded step: both give what they gave then.</summary>
internal sealed class Playback : IGroupSampler, ISamplesKnownTokens, IRewardFunction
{
    private readonly FlightStep _step;
    private readonly Dictionary<Prompt, FlightGroup> _groups = new(ReferenceEqualityComparer.Instance);

    public Playback(FlightStep step)
    {
        _step = step;
        Prompts = [.. step.Groups.Select(group => new Prompt { Id = group.PromptId, Messages = [] })];
        foreach ((Prompt prompt, FlightGroup group) in Prompts.Zip(step.Groups))
        {
            _groups.Add(prompt, group);
        }
    }

    /// <summary>A prompt for every group, in the order of the record; one that comes twice is two.</summary>
    public IReadOnlyList<Prompt> Prompts { get; }

    public string Name => $"recorded rewards of step {_step.Step}";

    public ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default) =>
        ValueTask.FromResult<IReadOnlyList<RolloutGroup>>([.. request.Prompts.Select(prompt => Group(prompt, _groups[prompt]))]);

    public ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default) =>
        ValueTask.FromResult<IReadOnlyList<Reward>>([.. _groups[group.Prompt].Completions.Select(completion => completion.Reward)]);

    // Without texts: no number of an update depends on them.
    private static RolloutGroup Group(Prompt prompt, FlightGroup recorded) => new(
        prompt,
        recorded.PromptTokenIds,
        [.. recorded.Completions.Select(completion => new Completion(completion.TokenIds, string.Empty, completion.FinishReason)
        {
            LogProbs = completion.SamplerLogProbs,
            MeanEntropy = completion.MeanEntropy,
        })]);
}
