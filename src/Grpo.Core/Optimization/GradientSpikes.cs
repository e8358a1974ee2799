namespace Grpo.Optimization;

/// <summary>Tells a gradient that is out of all proportion to the recent ones.</summary>
/// <remarks>
/// Skipped norms count among the recent ones too: where gradients have become long for good, the median follows after a few skips and
/// training goes on.
/// </remarks>
internal sealed class GradientSpikes(double? factor)
{
    /// <summary>Norms that are remembered.</summary>
    public const int Window = 32;

    /// <summary>Norms that are needed before one can be out of proportion.</summary>
    public const int Needed = 16;

    private readonly Queue<double> _norms = new(Window);

    /// <summary>The remembered norms, oldest first: what a checkpoint has to keep.</summary>
    public IReadOnlyList<double> State => [.. _norms];

    /// <summary>Judges a norm and remembers it.</summary>
    /// <param name="norm">L2, finite.</param>
    /// <returns>Why the update is to be skipped; null when it is not.</returns>
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

    /// <summary>Goes back to what <see cref="State"/> was.</summary>
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
