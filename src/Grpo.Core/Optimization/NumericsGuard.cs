using System.Globalization;
using Grpo.Callbacks;
using Grpo.Losses;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>
/// Watches the forward passes of one optimizer step: log-probs that are NaN or ∞, and a sampler that is not the policy. A handful of
/// numbers per micro-batch, which travel with the loss: no forward pass and no stop of the device of their own.
/// </summary>
internal sealed class NumericsGuard(GrpoOptions options)
{
    private double _sum;
    private double _max;
    private long _compared;

    /// <summary>Numbers of a micro-batch of so many rows.</summary>
    public static int Numbers(int rows) => 2 + (2 * rows);

    /// <summary>
    /// Sum and maximum of |sampler − policy|, then per row how many tokens are not finite in the policy, then in the reference.
    /// </summary>
    /// <param name="inputs">The micro-batch.</param>
    /// <param name="samplerLogProbs">[B, C] float32, NaN where not recorded; null: not compared. Borrowed.</param>
    /// <returns>[2 + 2·B] float32 on the device, without gradient. Owned by the caller's scope.</returns>
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

    /// <summary>Reads what <see cref="Measure"/> wrote.</summary>
    /// <param name="rows">The rows of the micro-batch.</param>
    /// <param name="numbers">On the host.</param>
    /// <param name="compared">Whether sampler log-probs were given.</param>
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

    /// <summary>The difference over the whole step; null when nothing was compared.</summary>
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
