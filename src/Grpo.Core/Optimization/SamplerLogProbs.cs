using Grpo.Modeling;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>Brings what the sampler recorded next to what the trainer computes.</summary>
internal static class SamplerLogProbs
{
    /// <summary>The recorded log-probs of a micro-batch.</summary>
    /// <param name="rows">Its rows, in the order of <paramref name="batch"/>.</param>
    /// <param name="batch">Its tokens; borrowed.</param>
    /// <returns>[B, C] float32, NaN where nothing was recorded; null when no row has any. Owned by the caller's scope.</returns>
    /// <exception cref="InvalidOperationException">
    /// A completion has another number of log-probs than tokens, or one that is not finite.
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
        return scope.Keep(DeviceUpload.To(tensor(values, rows.Count, columns), batch.CompletionMask.device));
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
