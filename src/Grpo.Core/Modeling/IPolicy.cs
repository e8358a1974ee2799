using Grpo.Modeling;
using static TorchSharp.torch;

namespace Grpo;

/// <summary>A language model that is trained.</summary>
/// <remarks>
/// These five members are all that training needs. A policy that can do more implements the small interfaces for optional abilities:
/// <see cref="IEntropyPolicy"/>, <see cref="IFusedLossPolicy"/>, <see cref="ISharedPromptPolicy"/>, <see cref="IVocabularyPolicy"/>,
/// <see cref="IMemoryPlannedPolicy"/>, <see cref="IStochasticPolicy"/>. A policy that wraps another one has only the abilities that it
/// implements itself.
/// </remarks>
public interface IPolicy
{
    /// <summary>The module that holds the weights. Parameters with <c>requires_grad</c> are trained.</summary>
    nn.Module Module { get; }

    /// <summary>Computes log π of the completion tokens, given the prompts and the tokens before them.</summary>
    /// <param name="batch">The left-padded prompts and right-padded completions, [B, P] and [B, C]. Borrowed.</param>
    /// <param name="temperature">
    /// The temperature that the completions were sampled at. It divides the logits before the softmax. Greater than 0.
    /// </param>
    /// <returns>
    /// The log-probs in nats, [B, C] float32, 0 where the completion mask is 0. Differentiable unless gradients are off. Owned by the
    /// caller's scope.
    /// </returns>
    Tensor LogProbs(TokenBatch batch, double temperature);

    /// <summary>Starts incremental decoding without gradients.</summary>
    /// <param name="prompts">The left-padded prompts, one row each, [N, P]. The completion part is not read. Borrowed for the call.</param>
    /// <param name="groupSize">The number of sequences per prompt, G. The session has B = N·G rows, the group of prompt 0 first.</param>
    /// <param name="maxNewTokens">
    /// The largest number of new tokens per sequence: <see cref="IDecodingSession.Advance"/> is called at most
    /// <paramref name="maxNewTokens"/> − 1 times.
    /// </param>
    /// <returns>The decoding session. The caller disposes it.</returns>
    IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens);

    /// <summary>Writes the weights, and everything that loading them needs, into an existing folder.</summary>
    /// <param name="directory">The folder.</param>
    void Save(string directory);

    /// <summary>Replaces the weights in place with those that <see cref="Save"/> wrote.</summary>
    /// <param name="directory">The folder.</param>
    void Load(string directory);
}
