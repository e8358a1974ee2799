using System.Globalization;
using Grpo.Losses;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>
/// Checks the forward passes of an optimizer step for log-probs that are NaN or ∞, and for a sampler that is not the policy.
/// </summary>
/// <remarks>
/// The numbers to check are copied to the CPU together with the loss, so they need no forward pass or synchronization of their own.
/// </remarks>
internal sealed class NumericsGuard(GrpoOptions options) : IDisposable
{
    private PendingChecks _pending = PendingChecks.None;
    private double _sum;
    private double _max;
    private long _compared;

    /// <summary>Returns the number of values that <see cref="Measure"/> computes for a micro-batch.</summary>
    public static int Numbers(int rows) => 2 + (2 * rows);

    /// <summary>
    /// Computes the sum and the maximum of |sampler − policy|, and the number of tokens per row whose log-probs are not finite.
    /// </summary>
    /// <param name="inputs">The micro-batch.</param>
    /// <param name="samplerLogProbs">
    /// The sampler's log-probs, [B, C] float32, NaN where none was recorded. Borrowed. Null to skip the comparison.
    /// </param>
    /// <returns>
    /// The sum, the maximum, B counts of the policy and B counts of the reference model: [2 + 2·B] float32 on the device, without
    /// gradient. Owned by the caller's scope.
    /// </returns>
    public static Tensor Measure(LossInputs inputs, Tensor? samplerLogProbs)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor logProbs = inputs.LogProbs.detach();                                                // [B, C]
        Tensor difference = logProbs.new_zeros(2);
        if (samplerLogProbs is not null)
        {
            Tensor distance = (logProbs - samplerLogProbs).abs().masked_fill(samplerLogProbs.isnan(), 0);
            difference = torch.stack([distance.sum(), distance.max()]);                            // [2]
        }

        Tensor reference = inputs.ReferenceLogProbs is { } given ? NotFinite(given, inputs.Mask) : logProbs.new_zeros(logProbs.shape[0]);
        return scope.Keep(torch.cat([difference, NotFinite(logProbs, inputs.Mask), reference]));
    }

    /// <summary>
    /// Copies numbers to the CPU, together with those that the last backward pass left to check. Waits for the device once.
    /// </summary>
    /// <param name="numbers">The numbers, [n] float32 each. Borrowed.</param>
    /// <returns>The concatenated numbers.</returns>
    /// <exception cref="InvalidOperationException">A check of the last backward pass failed.</exception>
    public float[] Read(params ReadOnlySpan<Tensor> numbers)
    {
        using var scope = TensorScope.BeginNoGrad();
        using PendingChecks pending = _pending;
        _pending = PendingChecks.None;
        float[] all = DeviceTransfer.ToArray<float>(torch.cat([.. numbers, .. pending.Numbers]));
        int own = all.Length - pending.Count;
        pending.Verify(all.AsSpan(own));
        return all[..own];
    }

    /// <summary>Backpropagates a loss. The next <see cref="Read"/> makes the checks of its functions.</summary>
    /// <param name="loss">The loss, a scalar. Borrowed.</param>
    public void Backpropagate(Tensor loss) => _pending = BackwardPass.RunWithoutChecks(loss);

    /// <summary>Frees the numbers that were not read.</summary>
    public void Dispose() => _pending.Dispose();

    /// <summary>Checks the result of <see cref="Measure"/> and adds it to the difference of the step.</summary>
    /// <param name="rows">The rows of the micro-batch.</param>
    /// <param name="numbers">The numbers, on the CPU.</param>
    /// <param name="compared">True if the sampler's log-probs were compared.</param>
    /// <exception cref="TrainingDivergedException">A log-prob of a real token is not finite.</exception>
    public void Check(IReadOnlyList<TrainingRow> rows, ReadOnlySpan<float> numbers, bool compared)
    {
        for (int row = 0; row < rows.Count; row++)
        {
            Require(rows[row], numbers[2 + row], "log-probs", FormattableString.Invariant(
                $"The policy has diverged: go back to the last checkpoint and lower LearningRate ")
                + FormattableString.Invariant($"({options.LearningRate}) or MaxGradientNorm."));
            Require(
                rows[row], numbers[2 + rows.Count + row], "reference log-probs",
                "The reference model is frozen, so this is a matter of its weights or their number type.");
        }

        if (compared)
        {
            _sum += numbers[0];
            _max = Math.Max(_max, numbers[1]);
            _compared += rows.Sum(row => row.Completion.LogProbs?.Count ?? 0);
        }
    }

    /// <summary>Returns the difference over the whole step; null if nothing was compared.</summary>
    /// <exception cref="InvalidOperationException">Its mean is above <see cref="LogProbDifference.LargestMean"/>.</exception>
    public LogProbDifference? SamplerDifference()
    {
        if (_compared == 0)
        {
            return null;
        }

        var difference = new LogProbDifference(_sum / _compared, _max);
        if (difference.Mean > LogProbDifference.LargestMean)
        {
            throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture,
                $"The sampler's log-probs differ from the policy's by {difference.Mean:F3} nats per token (at most "
                + $"{LogProbDifference.LargestMean} is allowed; the largest is {difference.Max:F3}); the update was not applied. The "
                + $"completions are not samples of this policy at temperature {options.Sampling.Temperature}. Usual causes: a sampler at "
                + $"another temperature or with filters, completions of older weights, token ids made from the text "
                + $"again, a prompt encoded in another way."));
        }

        return difference;
    }

    private static void Require(TrainingRow row, float notFinite, string tensor, string advice)
    {
        if (notFinite > 0)
        {
            throw new TrainingDivergedException(FormattableString.Invariant(
                $"The {tensor} of {row.Title} are NaN or ∞ on {notFinite:F0} of {row.Tokens.CompletionIds.Count} tokens; ")
                + FormattableString.Invariant($"the update was not applied. {advice}"));
        }
    }

    private static Tensor NotFinite(Tensor logProbs, Tensor mask)
    {
        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(logProbs.isfinite().logical_not().logical_and(mask.ne(0)).to(ScalarType.Float32).sum(1L)); // [B]
    }
}

/// <summary>
/// The absolute difference between the sampler's and the trainer's log-probs of equal tokens, in nats, while both have equal weights.
/// </summary>
/// <remarks>
/// Rounding, other kernels and 16-bit weights of the sampler cause a mean of a few hundredths of a nat. A larger mean is a sign of an
/// error: the policy would learn from samples that are not its own. Only completions that are trained on are compared.
/// </remarks>
/// <param name="Mean">The mean over all compared tokens.</param>
/// <param name="Max">The largest difference of a token. Unlikely tokens alone can make it large, so there is no limit for it.</param>
public readonly record struct LogProbDifference(double Mean, double Max)
{
    /// <summary>
    /// The largest <see cref="Mean"/> with which an update is applied. It is a factor of e^0.5 = 1.6 in the probability of every token.
    /// </summary>
    public const double LargestMean = 0.5;
}
