using System.Globalization;
using Grpo.IO;
using Grpo.Optimization;

namespace Grpo.Evaluation;

/// <summary>Creates an evaluation report from scored completions.</summary>
internal static class EvaluationSummary
{
    /// <summary>Creates the report.</summary>
    /// <param name="single">One completion per prompt, for the accuracy.</param>
    /// <param name="sampled">Several completions per prompt, for pass@k and maj@k; empty if none were sampled.</param>
    /// <param name="options">The options of the evaluation.</param>
    public static EvaluationReport Create(
        IReadOnlyList<ScoredPrompt> single, IReadOnlyList<ScoredPrompt> sampled, EvaluationOptions options)
    {
        EvaluationItem[] items = [.. single.Select((scored, i) => Item(scored, sampled.Count > 0 ? sampled[i] : null, options))];
        Reward[] rewards = [.. single.Select(scored => scored.Rewards[0])];
        double[] strict = Fractions(items.Select(item => item.Completion.IsCorrect));
        double[] lenient = Fractions(items.Select(item => item.Completion.IsCorrectLeniently));
        return new EvaluationReport
        {
            Count = items.Length,
            Accuracy = Mean(strict),
            AccuracyInterval = Interval(strict, options),
            LenientAccuracy = Mean(lenient),
            LenientInterval = Interval(lenient, options),
            Confidence = options.Confidence,
            MeanReward = Mean(StepStatistics.Values(rewards)) ?? double.NaN,
            MeanCompletionTokens = items.Average(item => item.Completion.Tokens),
            Verdicts = StepStatistics.CountVerdicts(rewards),
            Difficulties = ByDifficulty(items, options),
            Sampled = sampled.Count > 0 ? Sampled(sampled, items, options) : null,
            Items = items,
            Groups = [.. single.Select(scored => scored.Group)],
            Rewards = rewards,
        };
    }

    private static SampledEvaluation Sampled(IReadOnlyList<ScoredPrompt> sampled, EvaluationItem[] items, EvaluationOptions options)
    {
        Reward[] rewards = [.. sampled.SelectMany(scored => scored.Rewards)];
        return new SampledEvaluation
        {
            SamplesPerPrompt = options.Samples,
            Accuracies = SampledAccuracies.Create(items, options),
            MeanReward = Mean(StepStatistics.Values(rewards)) ?? double.NaN,
            MeanCompletionTokens = items.Average(item => item.Samples.Average(sample => sample.Tokens)),
            Verdicts = StepStatistics.CountVerdicts(rewards),
            Groups = [.. sampled.Select(scored => scored.Group)],
            Rewards = [.. sampled.Select(scored => scored.Rewards)],
        };
    }

    private static DifficultyAccuracy[] ByDifficulty(EvaluationItem[] items, EvaluationOptions options)
    {
        EvaluationItem[] judged = [.. items.Where(item => item.Completion.IsCorrect is not null)];
        if (judged.All(item => item.Difficulty is null))
        {
            return [];
        }

        return
        [
            .. judged.GroupBy(item => item.Difficulty ?? "")
                .OrderBy(group => group.Key.Length == 0)
                .ThenBy(
                    group => double.TryParse(group.Key, CultureInfo.InvariantCulture, out double number) ? number : double.PositiveInfinity)
                .ThenBy(group => group.Key, StringComparer.Ordinal)
                .Select(group =>
                {
                    double[] strict = Fractions(group.Select(item => item.Completion.IsCorrect));
                    return new DifficultyAccuracy
                    {
                        Difficulty = group.Key,
                        Count = strict.Length,
                        Accuracy = strict.Average(),
                        Interval = EvaluationStatistics.Wilson(strict.Sum(), strict.Length, options.Confidence),
                        LenientAccuracy = Mean(Fractions(group.Select(item => item.Completion.IsCorrectLeniently))),
                    };
                }),
        ];
    }

    private static EvaluationItem Item(ScoredPrompt single, ScoredPrompt? sampled, EvaluationOptions options)
    {
        Prompt prompt = single.Group.Prompt;
        return new EvaluationItem
        {
            Id = prompt.Id,
            Question = prompt.Messages.Count > 0 ? prompt.Messages[^1].Text : "",
            Expected = prompt.Answer,
            Difficulty = options.DifficultyField is { } field ? prompt.Fields.GetValueOrDefault(field) : null,
            Completion = Completions(single, options)[0],
            Samples = sampled is null ? [] : Completions(sampled, options),
        };
    }

    private static EvaluatedCompletion[] Completions(ScoredPrompt scored, EvaluationOptions options) =>
    [
        .. scored.Group.Completions.Zip(scored.Rewards, (completion, reward) => new EvaluatedCompletion
        {
            Text = completion.Text,
            Tokens = completion.TokenIds.Count,
            FinishReason = completion.FinishReason,
            Reward = reward.Value,
            Verdict = reward.Verdict,
            IsCorrect = reward.IsCorrect,
            IsCorrectLeniently = Lenient(reward, options.LenientComponent, scored.Group.Prompt),
            Answer = reward.Answer,
        }),
    ];

    private static bool? Lenient(Reward reward, string? component, Prompt prompt)
    {
        if (component is null || reward.Components is not { } components)
        {
            return null;
        }

        // A weighted sum prefixes the component with the name of the part: "Gsm8kReward/lenient".
        string? key = components.ContainsKey(component)
            ? component
            : components.Keys.Where(name => name.EndsWith("/" + component, StringComparison.Ordinal)).Order(StringComparer.Ordinal)
                .FirstOrDefault();
        return (key is null ? null : components[key]) switch
        {
            null => null,
            0 => false,
            1 => true,
            double value => throw new InvalidOperationException(string.Create(
                CultureInfo.InvariantCulture,
                $"The reward's component '{TerminalText.EscapeLine(key)}' is {value} on prompt '{TerminalText.EscapeLine(prompt.Id)}', but "
                + $"a lenient judgment must be 0, 1 or null. Name another component in EvaluationOptions.LenientComponent, "
                + $"or set it to null.")),
        };
    }

    private static double[] Fractions(IEnumerable<bool?> judgments) =>
        [.. judgments.OfType<bool>().Select(correct => correct ? 1.0 : 0.0)];

    private static double? Mean(double[] values) => values.Length == 0 ? null : values.Average();

    private static ConfidenceInterval? Interval(double[] values, EvaluationOptions options) =>
        values.Length == 0 ? null : EvaluationStatistics.Wilson(values.Sum(), values.Length, options.Confidence);
}

/// <summary>The completions of a prompt and their rewards, in the same order.</summary>
internal sealed record ScoredPrompt(RolloutGroup Group, IReadOnlyList<Reward> Rewards);
