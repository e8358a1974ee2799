using System.Globalization;

namespace Grpo.Evaluation;

/// <summary>Computes the statistics of an evaluation, as pure functions of counts.</summary>
internal static class EvaluationStatistics
{
    /// <summary>
    /// Computes the Wilson score interval of a proportion p = successes / trials:
    /// (p + z²/2n ± z·√(p(1−p)/n + z²/4n²)) / (1 + z²/n). It lies in [0, 1], contains p, and has a positive width even at 0 and 1.
    /// </summary>
    /// <param name="successes">
    /// The number of successes, 0 to <paramref name="trials"/>. A sum of values between 0 and 1 is allowed. The interval is then too wide
    /// rather than too narrow, since such values vary no more than a coin of equal mean.
    /// </param>
    /// <param name="trials">The number of independent trials, n. At least 1.</param>
    /// <param name="confidence">The confidence level, above 0 and at most 0.999999.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    /// <remarks>Wilson, Journal of the American Statistical Association 22 (1927), 209–212; without continuity correction.</remarks>
    public static ConfidenceInterval Wilson(double successes, int trials, double confidence = 0.95)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(trials, 1);
        if (!(successes >= 0 && successes <= trials))
        {
            throw new ArgumentOutOfRangeException(
                nameof(successes), successes,
                string.Create(CultureInfo.InvariantCulture, $"The successes must be 0 to {trials}, the number of trials."));
        }

        double z = StandardNormal.TwoSided(confidence), n = trials, p = successes / n;
        double scale = 1 + (z * z / n);
        double center = (p + (z * z / (2 * n))) / scale;
        double half = z / scale * Math.Sqrt((p * (1 - p) / n) + (z * z / (4 * n * n)));
        // At p = 0 and p = 1 one end equals p. The clamps remove the rounding error.
        return new ConfidenceInterval(Math.Clamp(center - half, 0, p), Math.Clamp(center + half, p, 1));
    }

    /// <summary>
    /// Computes the unbiased estimate of pass@k from n samples of which c are correct: 1 − C(n−c, k) / C(n, k). This is the probability
    /// that k of the samples, chosen without replacement, include a correct one. The product form avoids the overflow of binomials.
    /// </summary>
    /// <param name="samples">The number of samples, n. At least 1.</param>
    /// <param name="correct">The number of correct samples, c. 0 to n.</param>
    /// <param name="k">The k of pass@k, 1 to n.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    /// <remarks>Chen et al., "Evaluating Large Language Models Trained on Code", arXiv:2107.03374, eq. 1.</remarks>
    public static double PassAtK(int samples, int correct, int k)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(samples, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(correct);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(correct, samples);
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(k, samples);
        if (samples - correct < k)
        {
            return 1;
        }

        // C(n−c, k) / C(n, k) = Π (i − k) / i over i = n−c+1 … n
        double allWrong = 1;
        for (int i = samples - correct + 1; i <= samples; i++)
        {
            allWrong *= (i - k) / (double)i;
        }

        return 1 - allWrong;
    }

    /// <summary>
    /// Computes the p-value of McNemar's exact two-sided test: min(1, 2 · Σ C(n, i) / 2ⁿ over i = 0 … min(improved, worsened)), where n is
    /// the number of items that changed. It is 1 if nothing changed.
    /// </summary>
    /// <param name="improved">The number of items that were wrong before and are right after.</param>
    /// <param name="worsened">The number of items that were right before and are wrong after.</param>
    /// <exception cref="ArgumentOutOfRangeException">A count is negative.</exception>
    /// <remarks>McNemar, Psychometrika 12 (1947), 153–157, with the binomial distribution in place of χ²; not the mid-p variant.</remarks>
    public static double McNemar(int improved, int worsened)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(improved);
        ArgumentOutOfRangeException.ThrowIfNegative(worsened);
        if (improved == worsened)
        {
            return 1;
        }

        long n = (long)improved + worsened, smaller = Math.Min(improved, worsened);

        // Computes C(n, smaller) / 2ⁿ. Exact halvings on the way keep the product from overflowing.
        double term = 1;
        long halvings = 0;
        for (long i = 1; i <= smaller; i++)
        {
            term *= (n - i + 1) / (double)i;
            while (term > 1 && halvings < n)
            {
                term /= 2;
                halvings++;
            }
        }

        double sum = 0, ratio = 1;
        for (long i = smaller; i >= 0 && ratio > 0; i--)
        {
            sum += ratio;
            ratio *= i / (double)(n - i + 1);
        }

        return Math.Min(1, 2 * sum * Math.ScaleB(term, (int)Math.Max(halvings - n, int.MinValue)));
    }

    /// <summary>
    /// Computes the confidence interval of the difference of two accuracies on the same items, (improved − worsened) / n. It is Wald's
    /// interval for paired proportions after adding half an item to each of the four cells, clipped to [−1, 1]. It has a positive width
    /// even if nothing changed.
    /// </summary>
    /// <param name="count">The number of items, n. At least 1.</param>
    /// <param name="improved">The number of items that were wrong before and are right after.</param>
    /// <param name="worsened">
    /// The number of items that were right before and are wrong after. Together with the improved ones at most n.
    /// </param>
    /// <param name="confidence">The confidence level, above 0 and at most 0.999999.</param>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    /// <remarks>Agresti and Min, Statistics in Medicine 24 (2005), 729–740.</remarks>
    public static ConfidenceInterval PairedDifference(int count, int improved, int worsened, double confidence = 0.95)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(improved);
        ArgumentOutOfRangeException.ThrowIfNegative(worsened);
        ArgumentOutOfRangeException.ThrowIfGreaterThan((long)improved + worsened, count, nameof(improved));
        double n = count + 2.0, change = improved - worsened, changed = improved + worsened + 1.0;
        double half = StandardNormal.TwoSided(confidence) * Math.Sqrt(changed - (change * change / n)) / n;
        return new ConfidenceInterval(Math.Max(-1, (change / n) - half), Math.Min(1, (change / n) + half));
    }
}
