using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>log π of the completion tokens of a batch: what policy and reference model have in common.</summary>
internal static class CompletionLogProbs
{
    /// <summary>Runs [prompt | completion] once; the output layer sees only the positions that predict a real completion token.</summary>
    /// <param name="model">The model.</param>
    /// <param name="batch">B rows.</param>
    /// <param name="temperature">Divides the logits.</param>
    /// <returns>[B, C] float32, 0 where the completion mask is 0. Owned by the caller's scope.</returns>
    internal static Tensor Compute(Qwen2ForCausalLM model, TokenBatch batch, double temperature)
    {
        ArgumentNullException.ThrowIfNull(batch);
        Check(batch);
        (long rows, long promptLength, long completionLength) = (batch.Count, batch.PromptLength, batch.CompletionLength);
        using var scope = TensorScope.Begin();
        Tensor flat = zeros([rows * completionLength], ScalarType.Float32, batch.CompletionIds.device);  // [B·C]
        Tensor real = batch.CompletionMask.reshape(-1).nonzero().squeeze(1);                             // [R], R real completion tokens
        if (real.numel() == 0)
        {
            return scope.Keep(flat.view(rows, completionLength));
        }

        // The last completion token predicts nothing that is asked for.
        Tensor tokenIds = cat([batch.PromptIds, batch.CompletionIds.narrow(1, 0, completionLength - 1)], 1);
        Tensor mask = cat([batch.PromptMask, batch.CompletionMask.narrow(1, 0, completionLength - 1).to(ScalarType.Int64)], 1);
        Tensor hidden = model.Hidden(tokenIds, mask);                                                    // [B, P + C − 1, H]
        Tensor predicting = hidden.narrow(1, promptLength - 1, completionLength).reshape(-1, hidden.shape[2]);
        Tensor logProbs = TokenLogProbs.Compute(
            predicting.index_select(0, real), model.HeadWeight, batch.CompletionIds.reshape(-1).index_select(0, real), temperature);
        return scope.Keep(flat.scatter(0, real, logProbs).view(rows, completionLength));
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
