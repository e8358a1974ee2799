using System.Runtime.InteropServices;
using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>
/// Computes the entropy above which tokens are trained on, over all completion tokens of the step, also without an advantage.
/// </summary>
internal static class EntropyThreshold
{
    /// <summary>Computes the threshold in one forward pass over the step, without gradients.</summary>
    /// <param name="policy">The policy before this update.</param>
    /// <param name="rows">All completions of the step.</param>
    /// <param name="options">The options, of which the fraction and the temperature are read.</param>
    /// <param name="budget">The limits of a micro-batch.</param>
    /// <param name="cancellationToken">The token that stops the pass between two micro-batches.</param>
    /// <returns>The threshold in nats.</returns>
    /// <exception cref="MicroBatchOutOfMemoryException">A micro-batch does not fit into memory.</exception>
    public static double Compute(
        IEntropyPolicy policy, IReadOnlyList<TrainingRow> rows, GrpoOptions options, MicroBatchBudget budget,
        CancellationToken cancellationToken)
    {
        var entropies = new List<float>();
        Device device = policy.Device();
        MicroBatchLimits limits = budget.Limits;
        foreach (int[] indices in MicroBatcher.Split([.. rows.Select(row => row.Tokens)], limits))
        {
            cancellationToken.ThrowIfCancellationRequested();
            TrainingRow[] members = [.. indices.Select(index => rows[index])];
            entropies.AddRange(MicroBatchBudget.Run(members, () => Entropies(members)));
        }

        return TopEntropyMask.Threshold(CollectionsMarshal.AsSpan(entropies), options.TopEntropyFraction);

        float[] Entropies(TrainingRow[] members)
        {
            using var scope = TensorScope.BeginNoGrad();
            TokenBatch batch = TokenBatchBuilder.Build([.. members.Select(row => row.Tokens)], padTokenId: 0, device, limits.SharePrompts);
            Tensor all = CheckedLogProbs.WithEntropies(policy, batch, options.Sampling.Temperature).Entropies;     // [B, C]
            return [.. RowLogProbs.Download(members, all).SelectMany(row => row)];
        }
    }
}
