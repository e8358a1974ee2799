using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Rollouts;

/// <summary>
/// Applies repetition penalty, temperature, top-k, top-p and min-p to all rows at once on the logits' device, as
/// <see cref="SamplingFilters"/> does to one row on the CPU. Nothing is copied to the CPU.
/// </summary>
internal static class DeviceSamplingFilters
{
    /// <summary>Returns the logits divided by the temperature, with those of dropped tokens set to −∞.</summary>
    /// <param name="logits">The logits, [B, V], of any float type. Borrowed.</param>
    /// <param name="histories">The token ids of each row so far, including the prompt: B of them, none empty.</param>
    /// <param name="options">The filters and the temperature, which is above 0.</param>
    /// <returns>The filtered logits, [B, V] float32. Owned by the caller's scope.</returns>
    public static Tensor Apply(Tensor logits, IReadOnlyList<IEnumerable<int>> histories, SamplingOptions options)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor kept = logits.to(ScalarType.Float32);                                             // [B, V]
        long vocabulary = kept.shape[1];
        if (options.RepetitionPenalty != 1)
        {
            kept = Penalize(kept, histories, options.RepetitionPenalty);
        }

        if (options.Temperature != 1)
        {
            kept = kept / (float)options.Temperature;
        }

        if (options.TopK > 0 && options.TopK < vocabulary)
        {
            (Tensor largest, _) = kept.topk(options.TopK, 1);                                    // [B, k], in descending order
            kept = DropBelow(kept, largest.narrow(1, -1, 1));                                    // ties with the k-th stay
        }

        if (options.TopP < 1)
        {
            kept = DropLeast(kept, 1 - options.TopP);
        }

        if (options.MinP > 0)
        {
            kept = DropBelow(kept, kept.amax([1], keepdim: true) + (float)Math.Log(options.MinP));
        }

        return scope.Keep(kept);
    }

    // Divides the positive logits of tokens that occurred, and multiplies the negative ones.
    private static Tensor Penalize(Tensor logits, IReadOnlyList<IEnumerable<int>> histories, double penalty)
    {
        int[][] ids = [.. histories.Select(history => history.Distinct().ToArray())];
        int longest = ids.Max(row => row.Length);
        // A shorter row is filled with its first id: writing a logit twice is writing it once.
        long[] padded = [.. ids.SelectMany(row => Enumerable.Range(0, longest).Select(i => (long)row[i < row.Length ? i : 0]))];
        Tensor indices = DeviceTransfer.ToDevice(padded, logits.device, ids.Length, longest);    // [B, L]
        Tensor own = logits.gather(1, indices);
        float factor = (float)penalty;
        return logits.scatter(1, indices, torch.where(own.lt(0), own * factor, own / factor));
    }

    private static Tensor DropBelow(Tensor logits, Tensor threshold) =>
        logits.masked_fill(logits.lt(threshold), double.NegativeInfinity);

    // Drops the least probable tokens as long as their total probability is at most the share. Of equal logits, the one with the lowest id
    // is dropped first.
    private static Tensor DropLeast(Tensor logits, double share)
    {
        (Tensor sorted, Tensor order) = logits.sort(1, descending: false, stable: true);         // [B, V]
        Tensor wide = sorted.to(ScalarType.Float64);
        Tensor sums = (wide - wide.narrow(1, -1, 1)).exp_().cumsum(1);
        Tensor isDropped = sums.le(sums.narrow(1, -1, 1) * share);
        isDropped.narrow(1, -1, 1).fill_(false);                                                 // the most probable token stays
        return logits.masked_fill(isDropped.scatter(1, order, isDropped), double.NegativeInfinity);
    }
}
