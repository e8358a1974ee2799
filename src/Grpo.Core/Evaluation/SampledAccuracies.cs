namespace Grpo.Evaluation;

/// <summary>Computes pass@k and maj@k over the prompts of an evaluation.</summary>
internal static class SampledAccuracies
{
    public static IReadOnlyList<SampledAccuracy> Create(IReadOnlyList<EvaluationItem> items, EvaluationOptions options)
    {
        EvaluatedCompletion[][] judged = [.. items.Select(item => item.Samples.Where(sample => sample.IsCorrect is not null).ToArray())];

        // A sample without an answer cannot vote. A wrong sample may lack one, because its vote could not make the prompt right.
        bool hasAnswers = !judged.Any(samples => samples.Any(sample => sample is { IsCorrect: true, Answer: null }));
        return
        [
            .. options.PassList().Select(k => (K: k, Prompts: judged.Where(samples => samples.Length >= k).ToArray()))
                .Where(row => row.Prompts.Length > 0)
                .Select(row => Row(row.K, row.Prompts, hasAnswers, options.Confidence)),
        ];
    }

    private static SampledAccuracy Row(int k, EvaluatedCompletion[][] prompts, bool hasAnswers, double confidence)
    {
        double passed = prompts.Sum(
            samples => EvaluationStatistics.PassAtK(samples.Length, samples.Count(sample => sample.IsCorrect == true), k));
        int elected = prompts.Count(samples => ElectsCorrect(samples.AsSpan(0, k)));
        return new SampledAccuracy
        {
            K = k,
            Count = prompts.Length,
            Pass = passed / prompts.Length,
            PassInterval = EvaluationStatistics.Wilson(passed, prompts.Length, confidence),
            Majority = hasAnswers ? elected / (double)prompts.Length : null,
            MajorityInterval = hasAnswers ? EvaluationStatistics.Wilson(elected, prompts.Length, confidence) : null,
        };
    }

    private static bool ElectsCorrect(ReadOnlySpan<EvaluatedCompletion> samples)
    {
        var answers = new string?[samples.Length];
        for (int i = 0; i < samples.Length; i++)
        {
            answers[i] = samples[i].Answer;
        }

        return MajorityVote.Winner(answers) is { } winner && samples[winner].IsCorrect == true;
    }
}
