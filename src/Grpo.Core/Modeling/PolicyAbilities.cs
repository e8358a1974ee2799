using Grpo.Planning;
using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>
/// Implemented by policies that can also compute the entropy of each token's distribution, which entropy bonuses and entropy masks need.
/// </summary>
public interface IEntropyPolicy : IPolicy
{
    /// <summary>Computes the log-probs of the completion tokens and the entropy of the distribution that each was sampled from.</summary>
    /// <param name="batch">The left-padded prompts and right-padded completions, [B, P] and [B, C]. Borrowed.</param>
    /// <param name="temperature">The temperature that divides the logits before the softmax. Greater than 0.</param>
    /// <returns>
    /// Log-probs and entropies in nats, [B, C] float32 each, 0 where the completion mask is 0. Both are differentiable unless gradients are
    /// off. Owned by the caller's scope.
    /// </returns>
    TokenStatistics LogProbsAndEntropies(TokenBatch batch, double temperature);
}

/// <summary>
/// Implemented by policies that can run the backward pass of their output layer during the forward pass, so that the logits are computed
/// once per update. The gradient of the loss must be known as soon as the log-probs are.
/// </summary>
public interface IFusedLossPolicy : IPolicy
{
    /// <summary>Computes the log-probs of the completion tokens for a loss whose gradient is known.</summary>
    /// <param name="batch">The left-padded prompts and right-padded completions, [B, P] and [B, C]. Borrowed.</param>
    /// <param name="temperature">The temperature that divides the logits before the softmax. Greater than 0.</param>
    /// <param name="lossGradient">
    /// The function that returns dL/d log π for given log π, both [B, C] float32. Each element depends only on its own log π.
    /// <see cref="TokenLogProbs"/> says when it is called.
    /// </param>
    /// <returns>
    /// The log-probs that <see cref="IPolicy.LogProbs"/> returns. Exactly one backward pass with the gradient of
    /// <paramref name="lossGradient"/> must follow. If none follows, the caller drops the gradients of the weights.
    /// </returns>
    Tensor LogProbs(TokenBatch batch, double temperature, Func<Tensor, Tensor> lossGradient);
}

/// <summary>
/// Implemented by policies that can compute a prompt once for all rows that share it (<see cref="TokenBatch.SharedPrompts"/>).
/// </summary>
public interface ISharedPromptPolicy : IPolicy
{
    /// <summary>
    /// True if log-probs use shared prompts. Micro-batches then keep a group together. The log-probs do not depend on it.
    /// </summary>
    bool SharesPrompts { get; }
}

/// <summary>Implemented by policies that know the number of their token ids. Any other policy runs once on one token to find out.</summary>
public interface IVocabularyPolicy : IPolicy
{
    /// <summary>
    /// The number of token ids, from 0: the width of the logits, which may exceed the tokenizer's vocabulary. Token ids that a sampler
    /// returns must be below it.
    /// </summary>
    int VocabularySize { get; }
}

/// <summary>
/// Implemented by policies that can tell before a run how much memory it will need, for <see cref="GrpoOptimizer.Explain"/>.
/// </summary>
public interface IMemoryPlannedPolicy : IPolicy
{
    /// <summary>The model of the policy's memory needs.</summary>
    IMemoryModel Memory { get; }
}

/// <summary>
/// Implemented by policies that can train an adapter in place of the model's own weights. Adapters want about ten times the learning rate
/// of full training, so the default of an unset rate depends on it.
/// </summary>
public interface IAdapterPolicy : IPolicy
{
    /// <summary>True if only an adapter is trained. False if the policy has none.</summary>
    bool TrainsAdapter { get; }

    /// <summary>
    /// Tests if the adapter has changed the model: if ‖ΔW‖ ≥ fraction · ‖W‖ / √min(in, out) for the update ΔW of some layer's weight W, in
    /// Frobenius norms. ‖W‖ / √min(in, out) is the root mean square of W's singular values, its usual gain.
    /// </summary>
    /// <param name="fraction">The smallest change that counts, as a fraction of a layer's output. Greater than 0.</param>
    /// <returns>True if one layer has changed that much.</returns>
    bool HasMoved(double fraction);
}

/// <summary>Implemented by policies that can be random in training, as with dropout.</summary>
public interface IStochasticPolicy : IPolicy
{
    /// <summary>
    /// True if passes that record gradients are random. <see cref="GrpoOptimizer"/> refuses such a policy, because its ratios to the
    /// sampled log-probs would be noise. <see cref="SupervisedTrainer"/> accepts it.
    /// </summary>
    bool IsStochastic { get; }
}

/// <summary>Implemented by policies that can say which kernels run them, for <see cref="GrpoOptimizer.Explain"/>.</summary>
public interface IKernelPolicy : IPolicy
{
    /// <summary>The kernels of decoding and of the other passes, in words.</summary>
    string Kernels { get; }
}
