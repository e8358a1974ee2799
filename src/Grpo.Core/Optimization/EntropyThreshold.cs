using System.Runtime.InteropServices;
using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>
/// The entropy from which a token is trained on, over all completion tokens of the step: those of completions without advantage too.
/// </summary>
internal static class EntropyThreshold
{
    /// <summary>One forward pass over the step, without gradient.</summary>
    /// <param name="policy">The policy as it is in this update.</param>
    /// <param name="rows">All completions of the step.</param>
    /// <param name="options">Fraction and temperature.</param>
    /// <param name="budget">Size of the micro-batches.</param>
    /// <param name="cancellationToken">Stops between two micro-batches.</param>
    /// <exception cref="MicroBatchOutOfMemoryException">A micro-batch does not fit into memory.</exception>
    public static double Of(
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
            Tensor real = all.masked_select(batch.CompletionMask.ne(0)).cpu();                           // [R]
            return MemoryMarshal.Cast<byte, float>(real.bytes).ToArray();
        }
    }
}
