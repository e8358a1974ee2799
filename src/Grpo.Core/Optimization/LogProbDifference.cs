namespace Grpo.Optimization;

/// <summary>|log π of the sampler − log π of the trainer| on the same tokens and weights, nats.</summary>
/// <remarks>
/// Rounding, other kernels and 16-bit weights of the sampler cost a few hundredths of a nat in the mean. More is a mistake somewhere, and
/// the policy then learns from samples that are not its own. Only completions that are trained on are compared.
/// </remarks>
/// <param name="Mean">Mean over the compared tokens.</param>
/// <param name="Max">Largest of any token. Unlikely tokens make it large on their own, so it is reported and not judged.</param>
public readonly record struct LogProbDifference(double Mean, double Max)
{
    /// <summary>
    /// An update whose <see cref="Mean"/> is above this is refused: e^0.5, a factor of 1.6 in the probability of every token.
    /// </summary>
    public const double LargestMean = 0.5;
}
