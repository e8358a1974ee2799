using Grpo.Models.Qwen.Config;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>The frequencies of the rotary angles: θ^(−2i/D) for i = 0 … D/2 − 1, scaled as the configuration says.</summary>
/// <remarks>
/// A scaling divides a share of each frequency by its factor: all of it (linear), or none of fast ones and all of slow ones with a band
/// between (Llama 3.1; YaRN, arXiv:2309.00071). The formulas are those of transformers' modeling_rope_utils.py.
/// </remarks>
internal static class RotaryFrequencies
{
    // Keeps the band of YaRN from being empty, as in transformers.
    private const double SmallestBand = 0.001;

    /// <summary>Computes the frequencies.</summary>
    /// <param name="config">The configuration of the model, for D, θ and the scaling.</param>
    /// <param name="device">The device of the result.</param>
    /// <returns>The angle of one position, [D/2] float64. Owned by the caller's scope.</returns>
    internal static Tensor Compute(DecoderConfig config, Device device)
    {
        using var scope = TensorScope.BeginNoGrad();
        int width = config.HeadWidth;
        Tensor exponents = arange(0, width, 2, ScalarType.Float64, device) * (-Math.Log(config.RopeTheta) / width);
        Tensor frequencies = exponents.exp();
        if (config.RopeScaling is { } scaling)
        {
            Tensor kept = Kept(scaling, config, frequencies);
            frequencies = frequencies * (kept + ((1 - kept) / scaling.Factor));
        }

        return scope.Keep(frequencies);
    }

    /// <summary>The share of each frequency that is not divided by the factor, 0 to 1.</summary>
    private static Tensor Kept(RopeScaling scaling, DecoderConfig config, Tensor frequencies)
    {
        double length = scaling.OriginalMaxPositions ?? config.MaxPositions;
        switch (scaling.Kind)
        {
            case RopeScalingKind.Llama3:
                Tensor turns = frequencies * (length / Math.Tau);
                return ((turns - scaling.LowFrequencyFactor) / (scaling.HighFrequencyFactor - scaling.LowFrequencyFactor)).clamp(0, 1);
            case RopeScalingKind.Yarn:
                (double from, double to) = Band(scaling, config, length);
                return 1 - ((arange(frequencies.shape[0], ScalarType.Float64, frequencies.device) - from) / (to - from)).clamp(0, 1);
            default:
                return zeros_like(frequencies);
        }
    }

    // The indices between which YaRN goes from kept to divided frequencies.
    private static (double From, double To) Band(RopeScaling scaling, DecoderConfig config, double length)
    {
        (double from, double to) = (IndexOf(scaling.BetaFast), IndexOf(scaling.BetaSlow));
        (from, to) = scaling.Truncate ? (Math.Floor(from), Math.Ceiling(to)) : (from, to);
        (from, to) = (Math.Max(from, 0), Math.Min(to, config.HeadWidth - 1));
        return (from, from == to ? to + SmallestBand : to);

        // The index whose frequency makes this many turns within the original length.
        double IndexOf(double turns) => config.HeadWidth * Math.Log(length / (turns * Math.Tau)) / (2 * Math.Log(config.RopeTheta));
    }
}
