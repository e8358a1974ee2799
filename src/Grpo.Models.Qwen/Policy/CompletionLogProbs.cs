using Grpo.Modeling;
using Grpo.Models.Qwen.Model;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Policy;

/// <summary>Computes the log-probs of a batch's completion tokens, for policies and reference models.</summary>
internal static class CompletionLogProbs
{
    /// <summary>
    /// Computes log π of the completion tokens in one pass over [prompt | completion]. Prompts that the batch shares run once. The output
    /// layer sees only the positions that predict a real completion token.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="batch">The batch of B rows.</param>
    /// <param name="temperature">The temperature, by which the logits are divided.</param>
    /// <param name="lossGradient">
    /// The gradient of a loss with respect to the log-probs, as in <see cref="IPolicy"/>; null if the caller computes the loss.
    /// </param>
    /// <returns>The log-probs, [B, C] float32, 0 where the completion mask is 0. Owned by the caller's scope.</returns>
    internal static Tensor Compute(CausalLM model, TokenBatch batch, double temperature, Func<Tensor, Tensor>? lossGradient = null)
    {
        using var scope = TensorScope.Begin();
        if (Predict(model, batch) is not { } predicted)
        {
            return scope.Keep(batch.CompletionMask.new_zeros(batch.CompletionMask.shape));
        }

        Tensor logProbs = lossGradient is null
            ? TokenLogProbs.Compute(predicted.Hidden, model.HeadWeight, predicted.Targets, temperature)
            : TokenLogProbs.Compute(predicted.Hidden, model.HeadWeight, predicted.Targets, temperature, OfTokens);
        return scope.Keep(Scatter(logProbs, predicted.Positions, batch));

        Tensor OfTokens(Tensor found) =>
            lossGradient(Scatter(found, predicted.Positions, batch)).reshape(-1).index_select(0, predicted.Positions);
    }

    /// <summary>Computes log π and the entropies of the completion tokens.</summary>
    /// <param name="model">The model.</param>
    /// <param name="batch">The batch of B rows.</param>
    /// <param name="temperature">The temperature, by which the logits are divided.</param>
    internal static TokenStatistics ComputeWithEntropies(CausalLM model, TokenBatch batch, double temperature)
    {
        using var scope = TensorScope.Begin();
        if (Predict(model, batch) is not { } predicted)
        {
            long[] shape = batch.CompletionMask.shape;
            return new TokenStatistics(
                scope.Keep(batch.CompletionMask.new_zeros(shape)), scope.Keep(batch.CompletionMask.new_zeros(shape)));
        }

        TokenStatistics tokens = TokenLogProbs.ComputeWithEntropies(predicted.Hidden, model.HeadWeight, predicted.Targets, temperature);
        return new TokenStatistics(
            scope.Keep(Scatter(tokens.LogProbs, predicted.Positions, batch)),
            scope.Keep(Scatter(tokens.Entropies, predicted.Positions, batch)));
    }

    // Hidden states [R, H] that predict the R real completion tokens, these tokens [R], and their indices in the flattened [B·C].
    // Null if R is 0.
    private static (Tensor Hidden, Tensor Targets, Tensor Positions)? Predict(CausalLM model, TokenBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        Check(batch);
        (long promptLength, long completionLength) = (batch.PromptLength, batch.CompletionLength);
        using var scope = TensorScope.Begin();
        long[] indices = RealTokens(batch);
        if (indices.Length == 0)
        {
            return null;
        }

        if (batch.SharedPrompts is { } prompts)
        {
            PackedBatch packed = PackedBatch.From(batch, prompts, model.ComputeType);
            Tensor chosen = model.Hidden(packed).squeeze(0).index_select(0, packed.Predicting);          // [R, H]
            return (scope.Keep(chosen), scope.Keep(packed.Targets), scope.Keep(packed.CompletionIndices));
        }

        Tensor real = DeviceTransfer.ToDevice(indices, batch.CompletionIds.device);                      // [R]
        // The last completion token predicts nothing that is needed.
        Tensor tokenIds = cat([batch.PromptIds, batch.CompletionIds.narrow(1, 0, completionLength - 1)], 1);
        Tensor mask = cat([batch.PromptMask, batch.CompletionMask.narrow(1, 0, completionLength - 1).to(ScalarType.Int64)], 1);
        bool? isPadded = batch.Sequences?.Any(sequence => sequence.PromptIds.Count < promptLength);
        Tensor hidden = model.Hidden(tokenIds, mask, cached: null, isPadded);                            // [B, P + C − 1, H]
        Tensor predicting = hidden.narrow(1, promptLength - 1, completionLength).reshape(-1, hidden.shape[2]);
        return (scope.Keep(predicting.index_select(0, real)), scope.Keep(batch.CompletionIds.reshape(-1).index_select(0, real)),
            scope.Keep(real));
    }

    // The indices of the real completion tokens in the flattened [B·C].
    private static long[] RealTokens(TokenBatch batch)
    {
        if (batch.Sequences is { } known)
        {
            long width = batch.CompletionLength;
            return [.. known.SelectMany(
                (sequence, row) => Enumerable.Range(0, sequence.CompletionIds.Count).Select(t => (row * width) + t))];
        }

        using var scope = TensorScope.BeginNoGrad();
        bool[] isReal = DeviceTransfer.ToArray<bool>(batch.CompletionMask.ne(0));
        return [.. Enumerable.Range(0, isReal.Length).Where(index => isReal[index]).Select(index => (long)index)];
    }

    private static Tensor Scatter(Tensor values, Tensor positions, TokenBatch batch)
    {
        using var scope = TensorScope.Begin();
        Tensor flat = zeros([batch.Count * batch.CompletionLength], ScalarType.Float32, values.device);  // [B·C]
        return scope.Keep(flat.scatter(0, positions, values).view(batch.Count, batch.CompletionLength));
    }

    private static void Check(TokenBatch batch)
    {
        TensorGuard.Require(batch.PromptIds, "batch.PromptIds", "[B, P]", -1, -1);
        TensorGuard.Require(batch.PromptMask, "batch.PromptMask", "[B, P]", batch.PromptIds.shape);
        TensorGuard.Require(batch.CompletionIds, "batch.CompletionIds", "[B, C]", batch.Count, -1);
        TensorGuard.Require(batch.CompletionMask, "batch.CompletionMask", "[B, C]", batch.CompletionIds.shape);
        if (batch.PromptLength == 0)
        {
            throw new ArgumentException(
                "The batch has prompts of length 0; a model needs at least one token to predict the next.", nameof(batch));
        }
    }
}
