using Grpo.Modeling;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>Copies log-probs from micro-batches to one array per row and back, so that rows can form other micro-batches.</summary>
internal static class RowLogProbs
{
    /// <summary>Copies the log-probs of several micro-batches to the CPU, without padding.</summary>
    /// <param name="rows">The rows in the order of the result.</param>
    /// <param name="batches">The rows of each micro-batch and their log-probs, [B, C] float32. Borrowed.</param>
    /// <returns>One array per row.</returns>
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

    /// <summary>Copies the log-probs of one micro-batch to the CPU, without padding.</summary>
    /// <param name="rows">The rows of the batch.</param>
    /// <param name="logProbs">The log-probs, [B, C] float32. Borrowed.</param>
    /// <returns>One array per row.</returns>
    public static float[][] Download(IReadOnlyList<TrainingRow> rows, Tensor logProbs) => DownloadAll(rows, logProbs)[0];

    /// <summary>Copies several tensors of the log-probs of one micro-batch to the CPU in one transfer, without padding.</summary>
    /// <param name="rows">The rows of the batch.</param>
    /// <param name="logProbs">The log-probs, [B, C] float32 each, at least one. Borrowed.</param>
    /// <returns>One array per tensor and row.</returns>
    public static float[][][] DownloadAll(IReadOnlyList<TrainingRow> rows, params ReadOnlySpan<Tensor> logProbs)
    {
        using var scope = TensorScope.BeginNoGrad();
        int columns = checked((int)logProbs[0].shape[1]), each = checked((int)logProbs[0].numel());
        float[] values = DeviceTransfer.ToArray<float>(logProbs.Length == 1 ? logProbs[0] : cat(logProbs.ToArray()));
        return
        [
            .. Enumerable.Range(0, logProbs.Length).Select(tensor => rows
                .Select((row, i) => values.AsSpan((tensor * each) + (i * columns), row.Tokens.CompletionIds.Count).ToArray())
                .ToArray()),
        ];
    }

    /// <summary>Copies the log-probs of rows into one padded tensor on the device of a batch.</summary>
    /// <param name="logProbs">The log-probs, one array per row of the batch.</param>
    /// <param name="batch">The batch. Borrowed.</param>
    /// <returns>The log-probs, [B, C] float32, with 0 as padding. Owned by the caller's scope.</returns>
    public static Tensor Upload(IReadOnlyList<float[]> logProbs, TokenBatch batch)
    {
        int columns = checked((int)batch.CompletionLength);
        var values = new float[logProbs.Count * columns];
        for (int row = 0; row < logProbs.Count; row++)
        {
            logProbs[row].CopyTo(values, row * columns);
        }

        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(DeviceTransfer.ToDevice(values, batch.CompletionMask.device, logProbs.Count, columns));
    }
}

/// <summary>Copies the log-probs that the sampler recorded to the device of the update.</summary>
internal static class SamplerLogProbs
{
    /// <summary>Copies the recorded log-probs of a micro-batch into one padded tensor.</summary>
    /// <param name="rows">The rows of the batch, in its order.</param>
    /// <param name="batch">The batch. Borrowed.</param>
    /// <returns>
    /// The log-probs, [B, C] float32, NaN where none was recorded. Owned by the caller's scope. Null if no row has recorded log-probs.
    /// </returns>
    /// <exception cref="InvalidOperationException">
    /// The number of a completion's log-probs differs from its number of tokens, or a log-prob is not finite.
    /// </exception>
    public static Tensor? Upload(IReadOnlyList<TrainingRow> rows, TokenBatch batch)
    {
        if (rows.All(row => row.Completion.LogProbs is null))
        {
            return null;
        }

        int columns = checked((int)batch.CompletionLength);
        var values = new float[rows.Count * columns];
        Array.Fill(values, float.NaN);
        for (int row = 0; row < rows.Count; row++)
        {
            if (rows[row].Completion.LogProbs is { } recorded)
            {
                Require(rows[row], recorded);
                for (int t = 0; t < recorded.Count; t++)
                {
                    values[(row * columns) + t] = recorded[t];
                }
            }
        }

        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(DeviceTransfer.ToDevice(values, batch.CompletionMask.device, rows.Count, columns));
    }

    private static void Require(TrainingRow row, IReadOnlyList<float> recorded)
    {
        int tokens = row.Completion.TokenIds.Count;
        if (recorded.Count != tokens)
        {
            throw new InvalidOperationException(
                $"The sampler recorded {recorded.Count} log-probs for the {tokens} tokens of {row.Title}; there must be one per token, or "
                + "null for none. Were the token ids made from the text again? Training needs the sampled ids.");
        }

        for (int t = 0; t < tokens; t++)
        {
            if (!float.IsFinite(recorded[t]))
            {
                throw new InvalidOperationException(FormattableString.Invariant(
                    $"The sampler recorded {recorded[t]} as log-prob of token {t} of {row.Title}; a sampled token has a finite one."));
            }
        }
    }
}
