namespace Grpo.Optimization;

/// <summary>Detects gradients that are much larger than the recent ones.</summary>
/// <remarks>
/// The norms of skipped updates count too. If gradients stay large, the median follows after a few skipped updates and training goes on.
/// </remarks>
internal sealed class GradientSpikes(double? factor)
{
    /// <summary>The number of norms that are remembered.</summary>
    public const int Window = 32;

    /// <summary>The number of norms that are needed before one can be a spike.</summary>
    public const int Needed = 16;

    private readonly Queue<double> _norms = new(Window);

    /// <summary>The remembered norms, oldest first, which a checkpoint contains.</summary>
    public IReadOnlyList<double> State => [.. _norms];

    /// <summary>Compares a norm with the recent ones and remembers it.</summary>
    /// <param name="norm">The L2 norm of the gradient, finite.</param>
    /// <returns>The reason to skip the update; null to apply it.</returns>
    public string? Observe(double norm)
    {
        double median = _norms.Count < Needed ? 0 : Median();
        bool isSpike = median > 0 && norm > factor * median;
        _norms.Enqueue(norm);
        if (_norms.Count > Window)
        {
            _norms.Dequeue();
        }

        return isSpike
            ? FormattableString.Invariant(
                $"The gradient norm is {norm:G4}, {norm / median:F0} times the median of the last updates, {median:G4}; ")
                + FormattableString.Invariant($"GradientSpikeFactor allows {factor}.")
            : null;
    }

    /// <summary>Restores an earlier <see cref="State"/>.</summary>
    public void Restore(IReadOnlyList<double> norms)
    {
        _norms.Clear();
        foreach (double norm in norms)
        {
            _norms.Enqueue(norm);
        }
    }

    private double Median()
    {
        double[] sorted = [.. _norms.Order()];
        return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
    }
}
