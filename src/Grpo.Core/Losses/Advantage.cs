namespace Grpo.Losses;

/// <summary>Rewards of one group to advantages, in double precision. A null reward abstains: it is no part of the statistics and gets 0.</summary>
/// <remarks>
/// A group of equal rewards gives exactly 0, tested by maximum == minimum: a naive float mean leaves residues of up to 7e-3 after the
/// division by a tiny standard deviation, and Adam turns any residue into a full-size step. Fewer than two scored completions give 0.
/// </remarks>
public static class Advantage
{
    private const double Epsilon = 1e-4;

    /// <summary>Computes the advantages of a group by the named estimator.</summary>
    /// <param name="estimator">Which formula.</param>
    /// <param name="rewards">The rewards of the group, G; null abstains.</param>
    /// <param name="advantages">Receives the advantages, G.</param>
    /// <exception cref="ArgumentException">The lengths differ, or a reward is NaN or ∞.</exception>
    public static void Compute(AdvantageEstimator estimator, ReadOnlySpan<double?> rewards, Span<double> advantages)
    {
        switch (estimator)
        {
            case AdvantageEstimator.GroupNormalized:
                GroupNormalized(rewards, advantages);
                break;
            case AdvantageEstimator.MeanCentered:
                MeanCentered(rewards, advantages);
                break;
            case AdvantageEstimator.LeaveOneOut:
                LeaveOneOut(rewards, advantages);
                break;
            default:
                throw new ArgumentOutOfRangeException(nameof(estimator), estimator, "Not an advantage estimator.");
        }
    }

    /// <summary>(r − mean) / (std + 1e-4), std with G − 1. DeepSeekMath, arXiv:2402.03300, section 4.1.2.</summary>
    /// <param name="rewards">The rewards of the group, G; null abstains.</param>
    /// <param name="advantages">Receives the advantages, G.</param>
    public static void GroupNormalized(ReadOnlySpan<double?> rewards, Span<double> advantages)
    {
        if (!TryCenter(rewards, advantages, out int scored))
        {
            return;
        }

        double squares = 0;
        foreach (double centered in advantages)
        {
            squares += centered * centered; // an abstention is 0 here and adds nothing
        }

        double scale = 1 / (Math.Sqrt(squares / (scored - 1)) + Epsilon);
        foreach (ref double advantage in advantages)
        {
            advantage *= scale;
        }
    }

    /// <summary>r − mean. Dr. GRPO, arXiv:2503.20783: the division by std over-weights questions that are nearly always or never solved.</summary>
    /// <param name="rewards">The rewards of the group, G; null abstains.</param>
    /// <param name="advantages">Receives the advantages, G.</param>
    public static void MeanCentered(ReadOnlySpan<double?> rewards, Span<double> advantages) => TryCenter(rewards, advantages, out _);

    /// <summary>G/(G−1)·(r − mean): each reward against the mean of the others. RLOO, arXiv:2402.14740.</summary>
    /// <param name="rewards">The rewards of the group, G; null abstains.</param>
    /// <param name="advantages">Receives the advantages, G.</param>
    public static void LeaveOneOut(ReadOnlySpan<double?> rewards, Span<double> advantages)
    {
        if (TryCenter(rewards, advantages, out int scored))
        {
            double scale = scored / (scored - 1.0);
            foreach (ref double advantage in advantages)
            {
                advantage *= scale;
            }
        }
    }

    // False: every advantage is 0 and stays so.
    private static bool TryCenter(ReadOnlySpan<double?> rewards, Span<double> advantages, out int scored)
    {
        if (rewards.Length != advantages.Length)
        {
            throw new ArgumentException($"There are {rewards.Length} rewards but room for {advantages.Length} advantages.", nameof(advantages));
        }

        advantages.Clear();
        scored = 0;
        double sum = 0, minimum = double.PositiveInfinity, maximum = double.NegativeInfinity;
        for (int i = 0; i < rewards.Length; i++)
        {
            if (rewards[i] is not { } reward)
            {
                continue;
            }

            if (!double.IsFinite(reward))
            {
                throw new ArgumentException(
                    FormattableString.Invariant($"Reward {i} of the group is {reward}; rewards must be finite (null abstains)."), nameof(rewards));
            }

            scored++;
            sum += reward;
            minimum = Math.Min(minimum, reward);
            maximum = Math.Max(maximum, reward);
        }

        if (scored < 2 || minimum == maximum)
        {
            return false;
        }

        double mean = sum / scored;
        for (int i = 0; i < rewards.Length; i++)
        {
            advantages[i] = rewards[i] is { } reward ? reward - mean : 0;
        }

        return true;
    }
}
