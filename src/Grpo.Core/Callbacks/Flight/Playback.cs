using System.Globalization;
using Grpo.IO;
using Grpo.Modeling;
using Grpo.Rollouts;
using Grpo.Tensors;
using Microsoft.Extensions.AI;

namespace Grpo.Callbacks;

/// <summary>The sampler and reward of a replayed step, which return the recorded completions and rewards.</summary>
internal sealed class Playback : IGroupSampler, ISamplesKnownTokens, IWeightedReward
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

    /// <summary>The prompts: an object for each group, in the order of the record.</summary>
    public IReadOnlyList<Prompt> Prompts { get; }

    public IReadOnlyDictionary<string, double>? PartWeights => _step.RewardWeights;

    public string Name => $"recorded rewards of step {_step.Step}";

    public ValueTask<IReadOnlyList<RolloutGroup>> SampleAsync(
        IPolicy policy, RolloutRequest request, CancellationToken cancellationToken = default) =>
        ValueTask.FromResult<IReadOnlyList<RolloutGroup>>([.. request.Prompts.Select(prompt => Group(prompt, _groups[prompt]))]);

    public ValueTask<IReadOnlyList<Reward>> ScoreAsync(RolloutGroup group, CancellationToken cancellationToken = default) =>
        ValueTask.FromResult<IReadOnlyList<Reward>>([.. _groups[group.Prompt].Completions.Select(completion => completion.Reward)]);

    // The texts are empty, because no number of an update depends on them.
    private static RolloutGroup Group(Prompt prompt, FlightGroup recorded) => new(
        prompt,
        recorded.PromptTokenIds,
        [.. recorded.Completions.Select(completion => new Completion(completion.TokenIds, string.Empty, completion.FinishReason)
        {
            LogProbs = completion.SamplerLogProbs,
            MeanEntropy = completion.MeanEntropy,
        })]);
}

/// <summary>
/// The tokenizer and chat template of a replay. A prompt's message is the number of its group, and encoding it returns
/// the recorded token ids.
/// </summary>
internal sealed class RecordedPrompts(ITokenizer tokenizer, IReadOnlySet<int> endTokenIds, FlightStep step) : ITokenizer, IChatTemplate
{
    public int VocabularySize => tokenizer.VocabularySize;

    public IReadOnlySet<int> EndTokenIds => endTokenIds;

    public int PadTokenId => tokenizer.PadTokenId;

    public Prompt Prompt(int group) => Grpo.Prompt.Create(step.Groups[group].PromptId, group.ToString(CultureInfo.InvariantCulture));

    public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true) => messages[^1].Text;

    public IReadOnlyList<int> Encode(string text) => step.Groups[int.Parse(text, CultureInfo.InvariantCulture)].PromptTokenIds;

    public string Decode(IReadOnlyList<int> tokenIds, bool skipSpecialTokens = true) => tokenizer.Decode(tokenIds, skipSpecialTokens);
}

/// <summary>
/// Checks recorded token ids before they reach the policy. On a GPU, an id beyond the embedding would make the device unusable.
/// </summary>
internal static class RecordedTokens
{
    /// <summary>Throws if a token is beyond the policy's vocabulary or a prompt has no tokens.</summary>
    /// <exception cref="InvalidDataException">A token is beyond the policy's vocabulary, or a prompt has no tokens.</exception>
    public static void Require(FlightStep step, IPolicy policy)
    {
        int vocabulary = TensorThread.Run(() => PolicyVocabulary.Find(policy));
        for (int i = 0; i < step.Groups.Count; i++)
        {
            FlightGroup group = step.Groups[i];
            if (group.PromptTokenIds.Count == 0)
            {
                throw new InvalidDataException(
                    $"Prompt {i} of step {step.Step}, '{TerminalText.EscapeLine(group.PromptId)}', has no tokens: "
                    + "no recorder writes that.");
            }

            foreach (int id in group.PromptTokenIds.Concat(group.Completions.SelectMany(completion => completion.TokenIds)))
            {
                if (id < 0 || id >= vocabulary)
                {
                    throw new InvalidDataException(
                        $"Prompt {i} of step {step.Step}, '{TerminalText.EscapeLine(group.PromptId)}', or a completion of it has the token "
                        + $"{id}; the policy has {vocabulary}, from 0. The record is of another model, or not of a recorder.");
                }
            }
        }
    }
}
