using Grpo.Losses;

namespace Grpo.Optimization;

/// <summary>β as it stands, wherever the KL term acts: fixed, or moved by an <see cref="AdaptiveKl"/>.</summary>
internal sealed class KlControl(GrpoOptions options)
{
    /// <summary>β of the next step.</summary>
    public double Coefficient { get; private set; } = options.KlCoefficient;

    /// <summary>What a checkpoint has to keep: null where β is fixed.</summary>
    public double? State => options.KlTarget is null ? null : Coefficient;

    /// <summary>Moves β after a step.</summary>
    /// <param name="kl">The divergence measured in it, nats per token.</param>
    public void Observe(double kl)
    {
        if (options.KlTarget is { } target)
        {
            Coefficient = new AdaptiveKl { Target = target }.Next(Coefficient, kl);
        }
    }

    /// <summary>Goes back to what <see cref="State"/> was.</summary>
    public void Restore(double? state) => Coefficient = options.KlTarget is null ? options.KlCoefficient : state ?? options.KlCoefficient;
}
