using System.Globalization;
using Grpo.Evaluation;
using Grpo.Testing;

namespace Grpo.Core.Tests.Evaluation;

/// <summary>Evaluations whose completions and judgments a test writes down.</summary>
internal static class Judged
{
    /// <summary>
    /// Judges a text by its first letter: r right, w wrong, anything else not judged. A letter after it is the answer; a capital first
    /// letter is right by the lenient measure too.
    /// </summary>
    public static Reward Score(Completion completion)
    {
        string text = completion.Text;
        bool? correct = char.ToLowerInvariant(text[0]) switch { 'r' => true, 'w' => false, _ => null };
        return new Reward(correct is null ? null : correct.Value ? 1 : 0)
        {
            IsCorrect = correct,
            Verdict = correct is null ? null : correct.Value ? "Correct" : "Wrong",
            Answer = text.Length > 1 ? text[1..] : null,
            Components = correct is null ? null : new Dictionary<string, double?> { ["lenient"] = char.IsUpper(text[0]) ? 1 : 0 },
        };
    }

    /// <summary>Prompts with the ids 0, 1 … and the given difficulties; null: none.</summary>
    public static Prompt[] Prompts(params IReadOnlyList<string?> difficulties) => [.. difficulties.Select((difficulty, i) =>
        Prompt.Create(i.ToString(CultureInfo.InvariantCulture), $"question {i}", "gold") with
        {
            Fields = difficulty is null ? new Dictionary<string, string>() : new Dictionary<string, string> { ["steps"] = difficulty },
        })];

    /// <summary>Evaluates with one list of texts per prompt: the first is the greedy completion, the rest are the samples.</summary>
    public static async Task<EvaluationReport> EvaluateAsync(
        IReadOnlyList<Prompt> prompts, IReadOnlyList<string[]> texts, EvaluationOptions? options = null, IRewardFunction? reward = null)
    {
        options ??= new EvaluationOptions();
        options.Samples = texts.Max(list => list.Length) - 1;
        var sampler = new FixedSampler(request => [.. request.Prompts.Select((prompt, i) => new RolloutGroup(
            prompt, [1], [.. (request.Sampling.Temperature == 0 ? texts[i][..1] : texts[i][1..]).Select(ToCompletion)]))]);
        using BigramPolicy policy = Toy.Policy();
        return await new RewardEvaluator(sampler, reward ?? new Toy.TestReward((_, completion) => Score(completion)), prompts, options)
            .EvaluateAsync(policy);
    }

    /// <summary>A report of greedy completions.</summary>
    public static Task<EvaluationReport> EvaluateAsync(params IReadOnlyList<string> texts) =>
        EvaluateAsync(Prompts([.. texts.Select(_ => (string?)null)]), [.. texts.Select(text => new[] { text })]);

    // As many tokens as letters; which ones they are is not judged.
    private static Completion ToCompletion(string text) =>
        new([.. text.Select(letter => letter % Toy.Vocabulary)], text, FinishReason.EndToken);
}
