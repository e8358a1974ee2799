using Grpo.Models.Qwen.Pretrained;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.RewardModels;

/// <summary>Scores texts in batches of similar length.</summary>
/// <param name="model">The model. Borrowed.</param>
/// <param name="padTokenId">The pad id of the model's configuration; null if it has none.</param>
/// <param name="maxTokensPerBatch">The largest number of tokens of a batch, counted with padding.</param>
internal sealed class TextScorer(ScoreModel model, int? padTokenId, int maxTokensPerBatch)
{
    /// <summary>Scores texts. Each score equals that of the text alone, up to rounding.</summary>
    /// <param name="texts">The ids of the texts, at least one each.</param>
    /// <param name="cancellationToken">A token that stops the work between two batches.</param>
    /// <returns>One score per text, in their order.</returns>
    /// <exception cref="InvalidOperationException">A batch does not fit into the memory of the device.</exception>
    internal float[] Score(IReadOnlyList<IReadOnlyList<int>> texts, CancellationToken cancellationToken = default)
    {
        var scores = new float[texts.Count];
        foreach (int[] batch in LengthBatches.Split([.. texts.Select(text => text.Count)], maxTokensPerBatch))
        {
            cancellationToken.ThrowIfCancellationRequested();
            float[] values = ScoreBatch([.. batch.Select(index => texts[index])]);
            for (int i = 0; i < batch.Length; i++)
            {
                scores[batch[i]] = values[i];
            }
        }

        return scores;
    }

    private float[] ScoreBatch(IReadOnlyList<int>[] rows)
    {
        long length = rows.Max(row => row.Count);
        // Padding stands on the right, where no real token sees it. So it needs no mask, and its id does not matter.
        long[] ids = new long[rows.Length * length];
        for (int i = 0; i < rows.Length; i++)
        {
            for (int j = 0; j < rows[i].Count; j++)
            {
                ids[(i * length) + j] = rows[i][j];
            }
        }

        return AllocationErrors.Explain(
            () =>
            {
                using var scope = TensorScope.BeginNoGrad();
                Tensor tokenIds = DeviceTransfer.ToDevice(ids, model.Device, rows.Length, length);
                return model.Scores(tokenIds, attentionMask: null, [.. rows.Select(row => ScoreModel.PositionOf(row, padTokenId))]);
            },
            FormattableString.Invariant($"A batch of {rows.Length} texts of up to {length} tokens does not fit into the memory of ")
            + FormattableString.Invariant($"{model.Device}. Lower {nameof(RewardModelOptions.MaxTokensPerBatch)} ({maxTokensPerBatch})."));
    }
}
