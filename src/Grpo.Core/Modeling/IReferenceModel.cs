using Grpo.Modeling;
using static TorchSharp.torch;

namespace Grpo;

/// <summary>The frozen model that the KL term holds the policy close to.</summary>
public interface IReferenceModel
{
    /// <summary>log π_ref of the completion tokens; the contract of <see cref="IPolicy.LogProbs(TokenBatch, double)"/>, without gradient.</summary>
    /// <param name="batch">Left-padded prompts and right-padded completions. Borrowed.</param>
    /// <param name="temperature">The temperature of the policy's log-probs.</param>
    /// <returns>[B, C] float32, nats, 0 where the completion mask is 0. Owned by the caller's scope.</returns>
    Tensor LogProbs(TokenBatch batch, double temperature);

    /// <summary>
    /// Holds the weights, under the names that the policy's have, for <see cref="GrpoOptions.ReferenceSyncEvery"/>; null where there are none
    /// to move.
    /// </summary>
    nn.Module? Module => null;
}
