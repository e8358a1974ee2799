namespace Grpo.Rollouts;

/// <summary>Repetition penalty, temperature, top-k, top-p and min-p on one row of logits, in that order: the order of transformers.</summary>
internal static class SamplingFilters
{
    /// <summary>Changes the logits in place: divided by the temperature, −∞ where a filter drops the token.</summary>
    /// <param name="logits">One row, V.</param>
    /// <param name="history">Ids that occurred before, prompt included; each counts once.</param>
    /// <param name="options">The filters; the temperature is above 0.</param>
    public static void Apply(Span<float> logits, IEnumerable<int> history, SamplingOptions options)
    {
        if (options.RepetitionPenalty != 1)
        {
            float penalty = (float)options.RepetitionPenalty;
            foreach (int id in history.Distinct())
            {
                logits[id] = logits[id] < 0 ? logits[id] * penalty : logits[id] / penalty;
            }
        }

        if (options.Temperature != 1)
        {
            float temperature = (float)options.Temperature;
            foreach (ref float logit in logits)
            {
                logit /= temperature;
            }
        }

        if (options.TopK > 0 && options.TopK < logits.Length)
        {
            DropBelow(logits, SortedBuckets.KthLargest(logits, options.TopK)); // ties with the k-th stay: the comparison is strict
        }

        if (options.TopP < 1)
        {
            SortedBuckets.DropLeast(logits, 1 - options.TopP);
        }

        if (options.MinP > 0)
        {
            // p < min_p · p_max is z < z_max + log(min_p): no softmax needed.
            DropBelow(logits, SortedBuckets.Maximum(logits) + (float)Math.Log(options.MinP));
        }
    }

    private static void DropBelow(Span<float> logits, float threshold)
    {
        foreach (ref float logit in logits)
        {
            if (logit < threshold)
            {
                logit = float.NegativeInfinity;
            }
        }
    }
}
