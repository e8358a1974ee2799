using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>Constants of <see cref="AdamW"/>.</summary>
internal sealed record AdamWOptions(double Beta1 = 0.9, double Beta2 = 0.999, double Epsilon = 1e-8, double WeightDecay = 0)
{
    /// <summary>Which parameters decay; by default matrices, and neither biases nor norms.</summary>
    public Func<string, Tensor, bool> IsDecayed { get; init; } = (_, parameter) => parameter.dim() >= 2;

    public static AdamWOptions From(GrpoOptions options) =>
        new(options.AdamBeta1, options.AdamBeta2, options.AdamEpsilon, options.WeightDecay);
}
