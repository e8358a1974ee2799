using Grpo.Modeling;
using Microsoft.Extensions.AI;

namespace Grpo.Benchmarks;

/// <summary>
/// A tokenizer whose text is the token ids as numbers. The model has no logit for its end token, so all completions
/// have the requested length.
/// </summary>
/// <param name="vocabularySize">The number of token ids of the model.</param>
internal sealed class RandomText(int vocabularySize) : ITokenizer, IChatTemplate
{
    public int VocabularySize => vocabularySize + 1;

    public IReadOnlySet<int> EndTokenIds { get; } = new HashSet<int> { vocabularySize };

    public int PadTokenId => 0;

    public IReadOnlyList<int> Encode(string text) =>
        [.. text.Split(' ').Select(number => int.Parse(number, System.Globalization.CultureInfo.InvariantCulture))];

    public string Decode(IReadOnlyList<int> tokenIds, bool skipSpecialTokens = true) => "";

    public string Render(IReadOnlyList<ChatMessage> messages, bool addGenerationPrompt = true) => messages[^1].Text;

    /// <summary>Creates prompts of random tokens, either equally long or each one token shorter than the one before.</summary>
    public IReadOnlyList<Prompt> Prompts(int count, int length, int seed = 1, bool uneven = false)
    {
        var random = new Random(seed);
        return [.. Enumerable.Range(0, count)
            .Select(i => Prompt.Create($"p{i}", string.Join(' ', Ids(random, uneven ? length - i : length))))];
    }

    /// <summary>Creates scored groups of random tokens, with positive and negative advantages.</summary>
    public IReadOnlyList<ScoredGroup> Groups(int groups, int groupSize, int promptLength, int completionLength)
    {
        var random = new Random(2);
        return [.. Prompts(groups, promptLength).Select(prompt =>
        {
            Completion[] completions =
                [.. Enumerable.Range(0, groupSize).Select(_ => new Completion(Ids(random, completionLength), "", FinishReason.Truncated))];
            double[] advantages = [.. completions.Select((_, i) => i % 2 == 0 ? 1.0 : -1.0)];
            return new ScoredGroup(
                new RolloutGroup(prompt, Encode(prompt.Messages[^1].Text), completions), [.. advantages.Select(Reward.ToReward)],
                advantages);
        })];
    }

    private int[] Ids(Random random, int count) => [.. Enumerable.Range(0, count).Select(_ => random.Next(vocabularySize))];
}
