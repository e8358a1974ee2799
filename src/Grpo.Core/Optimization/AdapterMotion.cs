using Grpo.Modeling;

namespace Grpo.Optimization;

/// <summary>Tells once if an adapter has hardly changed the model after many optimizer steps: its learning rate is too low.</summary>
/// <remarks>
/// An optimizer step counts by its learning rate, as a fraction of the peak. So a warm-up cannot be blamed. A step without a gradient
/// does not count: it moves nothing, whatever the rate. An adapter that was trained before has already moved.
/// </remarks>
/// <param name="policy">The policy. Without an adapter there is never a problem.</param>
/// <param name="rate">The peak learning rate of the run.</param>
/// <param name="adamEpsilon">The ε of AdamW. A gradient that is not above it moves the weights less than the rate allows.</param>
internal sealed class AdapterMotion(IPolicy policy, LearningRateChoice rate, double adamEpsilon)
{
    /// <summary>The number of optimizer steps at the peak rate before the weights are looked at.</summary>
    public const int Steps = 50;

    /// <summary>
    /// The relative change of a layer's output below which the layer counts as unchanged: 2⁻⁹, the rounding of bfloat16. With the default
    /// adapter, rate 1e-5 gives about 1.5e-2 in as many steps of the sample's model, and the change is proportional to the rate.
    /// </summary>
    public const double Fraction = 1.0 / 512;

    private readonly IAdapterPolicy? _adapter = policy as IAdapterPolicy;
    private readonly long _weights = policy.TrainedParameters().Sum(entry => entry.Parameter.numel());
    private double _steps;
    private bool _isDone;

    /// <summary>Counts an optimizer step that was applied.</summary>
    /// <param name="learningRate">The learning rate of the step.</param>
    /// <param name="gradientNorm">The L2 norm of the gradient after clipping.</param>
    /// <returns>The problem in words, in the step that finds it; null otherwise.</returns>
    public string? Observe(double learningRate, double gradientNorm)
    {
        if (_isDone || _adapter is not { TrainsAdapter: true } || learningRate <= 0
            || gradientNorm <= adamEpsilon * Math.Sqrt(_weights)) // the norm of a gradient whose elements are all ε
        {
            return null;
        }

        _steps += learningRate / rate.Rate;
        if (_steps < Steps - 1e-6)
        {
            return null;
        }

        _isDone = true;
        return _adapter.HasMoved(Fraction) ? null : FormattableString.Invariant(
            $"The adapter does not move: after {Steps} optimizer steps at the peak rate it changes no layer's output by more than 2^-9, ")
            + "the rounding of bfloat16. "
            + FormattableString.Invariant(
                $"LearningRate is {rate.Rate}; adapters want about ten times the rate of full training. Try {rate.Suggested:G3}.");
    }
}
