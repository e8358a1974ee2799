using Grpo.Losses;

namespace Grpo.Optimization;

/// <summary>The current KL coefficient β, which is fixed or adapted by an <see cref="AdaptiveKl"/>.</summary>
internal sealed class KlControl(GrpoOptions options)
{
    /// <summary>The coefficient β of the next step.</summary>
    public double Coefficient { get; private set; } = options.KlCoefficient;

    /// <summary>The value that a checkpoint contains; null if β is fixed.</summary>
    public double? State => options.KlTarget is null ? null : Coefficient;

    /// <summary>Adapts β after a step.</summary>
    /// <param name="kl">The KL divergence of the step in nats per token.</param>
    public void Observe(double kl)
    {
        if (options.KlTarget is { } target)
        {
            Coefficient = new AdaptiveKl { Target = target }.Next(Coefficient, kl);
        }
    }

    /// <summary>Restores an earlier <see cref="State"/>.</summary>
    public void Restore(double? state) => Coefficient = options.KlTarget is null ? options.KlCoefficient : state ?? options.KlCoefficient;
}
