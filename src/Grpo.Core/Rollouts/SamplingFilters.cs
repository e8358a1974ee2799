namespace Grpo.Rollouts;

/// <summary>
/// Applies repetition penalty, temperature, top-k, top-p and min-p to a row of logits, in the order of Hugging Face transformers.
/// </summary>
internal static class SamplingFilters
{
    /// <summary>Changes the logits in place: divides them by the temperature and sets those of dropped tokens to −∞.</summary>
    /// <param name="logits">The logits of one row, [V].</param>
    /// <param name="history">The token ids so far, including the prompt. Each counts once.</param>
    /// <param name="options">The filters and the temperature, which is above 0.</param>
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
            // p < min_p · p_max is equivalent to z < z_max + log(min_p), so no softmax is needed.
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
