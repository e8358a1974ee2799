using Grpo.Modeling;
using static TorchSharp.torch;

namespace Grpo;

/// <summary>The frozen reference model, to which the KL term keeps the policy close.</summary>
public interface IReferenceModel
{
    /// <summary>
    /// Computes log π_ref of the completion tokens without gradient, as <see cref="IPolicy.LogProbs(TokenBatch, double)"/> does for the
    /// policy.
    /// </summary>
    /// <param name="batch">The batch of left-padded prompts and right-padded completions. Borrowed.</param>
    /// <param name="temperature">The temperature of the policy's log-probs, which divides the logits.</param>
    /// <returns>The log-probs in nats, [B, C] float32, 0 where the completion mask is 0. Owned by the caller's scope.</returns>
    Tensor LogProbs(TokenBatch batch, double temperature);

    /// <summary>
    /// The module with the weights, named like the policy's, for <see cref="GrpoOptions.ReferenceSyncEvery"/>. Null if there are no weights
    /// to synchronize.
    /// </summary>
    /// <value>Default null.</value>
    nn.Module? Module => null;
}
