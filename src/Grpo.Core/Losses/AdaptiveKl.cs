namespace Grpo.Losses;

/// <summary>Adapts the KL coefficient β, so that the measured divergence stays near a target.</summary>
/// <remarks>
/// β ← β·(1 + K·clip((KL − target)/target, −e, e)). Ziegler et al. 2019, arXiv:1909.08593, section 2.2, with K = 0.1 and e = 0.2, so that β
/// changes by at most 2 % per update. Immutable: the caller holds β and saves it in checkpoints.
/// </remarks>
internal sealed record AdaptiveKl
{
    /// <summary>The target divergence, in the unit of the measured one (nats per token for the step's mean KL).</summary>
    /// <value>Above 0.</value>
    public required double Target { get; init; }

    /// <summary>The gain K, which scales the reaction of β.</summary>
    /// <value>Above 0, to 1; default 0.1, the paper's.</value>
    public double Gain { get; init; } = 0.1;

    /// <summary>The bound e on the relative error.</summary>
    /// <value>Above 0, to 1; default 0.2, the paper's.</value>
    public double MaxError { get; init; } = 0.2;

    /// <summary>Computes β for the next update.</summary>
    /// <param name="coefficient">The present β, above 0, since a factor would never change 0.</param>
    /// <param name="kl">The divergence that was measured with it. A noisy estimate may be negative.</param>
    /// <returns>The next β, above 0.</returns>
    /// <exception cref="ArgumentOutOfRangeException">β is not above 0 and finite, or the divergence is not finite.</exception>
    public double Next(double coefficient, double kl)
    {
        if (!(coefficient > 0 && double.IsFinite(coefficient)))
        {
            throw new ArgumentOutOfRangeException(
                nameof(coefficient), coefficient,
                "The KL coefficient must be above 0 and finite: the controller multiplies it, so it would stay 0.");
        }

        if (!double.IsFinite(kl))
        {
            throw new ArgumentOutOfRangeException(nameof(kl), kl, "The measured KL must be finite: β cannot follow it.");
        }

        double error = Math.Clamp((kl - Target) / Target, -MaxError, MaxError);
        return coefficient * (1 + (Gain * error));
    }

    /// <summary>Lists a sentence for each parameter that is out of range; empty if all are valid.</summary>
    public IEnumerable<string> Validate() => ParameterProblems.Find(
        nameof(AdaptiveKl),
        (Target > 0 && double.IsFinite(Target), nameof(Target), Target, "above 0 and finite"),
        (Gain is > 0 and <= 1, nameof(Gain), Gain, "above 0, at most 1"),
        (MaxError is > 0 and <= 1, nameof(MaxError), MaxError, "above 0, at most 1"));
}
