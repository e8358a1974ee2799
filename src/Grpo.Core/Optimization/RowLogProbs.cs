using Grpo.Modeling;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>Takes log-probs out of the micro-batches that they were computed in, so that others can be formed of the same rows.</summary>
internal static class RowLogProbs
{
    /// <summary>The log-probs of each row, without padding.</summary>
    /// <param name="rows">In this order.</param>
    /// <param name="batches">The rows of each micro-batch, and their log-probs, [B, C] float32. Borrowed.</param>
    public static float[][] Download(
        IReadOnlyList<TrainingRow> rows, IReadOnlyList<(IReadOnlyList<TrainingRow> Rows, Tensor LogProbs)> batches)
    {
        var found = new Dictionary<TrainingRow, float[]>(ReferenceEqualityComparer.Instance);
        foreach ((IReadOnlyList<TrainingRow> members, Tensor logProbs) in batches)
        {
            foreach ((TrainingRow row, float[] values) in members.Zip(Download(members, logProbs)))
            {
                found.Add(row, values);
            }
        }

        return [.. rows.Select(row => found[row])];
    }

    /// <summary>The log-probs of the rows of one batch, without padding.</summary>
    /// <param name="rows">The rows of the batch.</param>
    /// <param name="logProbs">[B, C] float32. Borrowed.</param>
    public static float[][] Download(IReadOnlyList<TrainingRow> rows, Tensor logProbs)
    {
        using var scope = TensorScope.BeginNoGrad();
        int columns = checked((int)logProbs.shape[1]);
        float[] values = [.. logProbs.detach().cpu().contiguous().data<float>()];
        return [.. rows.Select((row, i) => values.AsSpan(i * columns, row.Tokens.CompletionIds.Count).ToArray())];
    }

    /// <summary>Puts them side by side again.</summary>
    /// <param name="logProbs">One array per row of the batch.</param>
    /// <param name="batch">Borrowed.</param>
    /// <returns>[B, C] float32, 0 where there is padding. Owned by the caller's scope.</returns>
    public static Tensor Upload(IReadOnlyList<float[]> logProbs, TokenBatch batch)
    {
        int columns = checked((int)batch.CompletionLength);
        var values = new float[logProbs.Count * columns];
        for (int row = 0; row < logProbs.Count; row++)
        {
            logProbs[row].CopyTo(values, row * columns);
        }

        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(DeviceUpload.To(tensor(values, logProbs.Count, columns), batch.CompletionMask.device));
    }
}
