using System.Buffers;

namespace Grpo;

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

        float temperature = (float)options.Temperature;
        foreach (ref float logit in logits)
        {
            logit /= temperature;
        }

        if (options.TopK > 0 && options.TopK < logits.Length)
        {
            DropBelow(logits, KthLargest(logits, options.TopK));
        }

        if (options.TopP < 1)
        {
            ApplyTopP(logits, options.TopP);
        }

        if (options.MinP > 0)
        {
            // p < min_p · p_max is z < z_max + log(min_p): no softmax needed.
            float maximum = float.NegativeInfinity;
            foreach (float logit in logits)
            {
                maximum = Math.Max(maximum, logit);
            }

            DropBelow(logits, maximum + (float)Math.Log(options.MinP));
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

    private static float KthLargest(ReadOnlySpan<float> logits, int k)
    {
        float[] sorted = ArrayPool<float>.Shared.Rent(logits.Length);
        try
        {
            Span<float> values = sorted.AsSpan(0, logits.Length);
            logits.CopyTo(values);
            values.Sort();
            return values[^k]; // ties with the k-th stay: the comparison is strict
        }
        finally
        {
            ArrayPool<float>.Shared.Return(sorted);
        }
    }

    // Ascending, dropped while the sum of what lies below and including a token is at most 1 − p; the best one always stays.
    private static void ApplyTopP(Span<float> logits, double p)
    {
        var order = new int[logits.Length];
        var keys = new float[logits.Length];
        for (int i = 0; i < order.Length; i++)
        {
            order[i] = i;
            keys[i] = logits[i];
        }

        Array.Sort(keys, order);
        double maximum = keys[^1], total = 0;
        foreach (float key in keys)
        {
            total += Math.Exp(key - maximum);
        }

        double cumulative = 0;
        for (int i = 0; i < order.Length - 1; i++)
        {
            cumulative += Math.Exp(keys[i] - maximum) / total;
            if (cumulative > 1 - p)
            {
                return;
            }

            logits[order[i]] = float.NegativeInfinity;
        }
    }
}
