using Grpo.Modeling;
using Grpo.Planning;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo;

/// <summary>The model that is trained.</summary>
public interface IPolicy
{
    /// <summary>Holds the weights. Parameters with <c>requires_grad</c> are trained.</summary>
    nn.Module Module { get; }

    /// <summary>
    /// Whether passes that record gradients are random, as with dropout. <see cref="GrpoOptimizer"/> refuses such a policy: the ratio to what was
    /// sampled would be noise. Supervised training does not mind.
    /// </summary>
    bool IsStochastic => false;

    /// <summary>
    /// Whether log-probs compute a prompt once for all rows that share it (<see cref="TokenBatch.SharedPrompts"/>). Micro-batches then keep a
    /// group together; the log-probs are the same either way.
    /// </summary>
    bool SharesPrompts => false;

    /// <summary>
    /// The number of token ids that the model has, from 0: the width of its logits, which may be more than the tokenizer knows. Token ids that a
    /// sampler returns are compared with it. Null where the policy does not tell: it is then run on one token once to find out.
    /// </summary>
    /// <value>Default null.</value>
    int? VocabularySize => null;

    /// <summary>Tells beforehand how much memory a run needs, for <see cref="GrpoOptimizer.Explain"/>; null where the policy cannot tell.</summary>
    IMemoryModel? Memory => null;

    /// <summary>log π of the completion tokens given the prompts and the tokens before them.</summary>
    /// <param name="batch">Left-padded prompts and right-padded completions, [B, P] and [B, C]. Borrowed.</param>
    /// <param name="temperature">Divides the logits before the softmax: the temperature that the completions were sampled at. &gt; 0.</param>
    /// <returns>[B, C] float32, nats, 0 where the completion mask is 0, differentiable unless gradients are off. Owned by the caller's scope.</returns>
    Tensor LogProbs(TokenBatch batch, double temperature);

    /// <summary>
    /// The same for a loss that is known beforehand: a policy may go back through its output layer while it has the logits, so that it need not
    /// compute them again. One that does not override this computes them as ever.
    /// </summary>
    /// <param name="batch">As in <see cref="LogProbs(TokenBatch, double)"/>.</param>
    /// <param name="temperature">As there.</param>
    /// <param name="lossGradient">
    /// dL/d log π of log π, [B, C] both, each token's of its own log π alone (<see cref="TokenLogProbs"/> says when it is called).
    /// </param>
    /// <returns>As there. One backward pass must come with that gradient; where none follows, the gradients of the weights are to be dropped.</returns>
    Tensor LogProbs(TokenBatch batch, double temperature, Func<Tensor, Tensor> lossGradient) => LogProbs(batch, temperature);

    /// <summary>The same with the entropy of each token's distribution, for the entropy bonus; only a policy that offers it need override this.</summary>
    /// <param name="batch">As in <see cref="LogProbs(TokenBatch, double)"/>.</param>
    /// <param name="temperature">As in <see cref="LogProbs(TokenBatch, double)"/>.</param>
    /// <returns>Two tensors as <see cref="LogProbs(TokenBatch, double)"/> returns them, both differentiable unless gradients are off. Owned by the caller's scope.</returns>
    /// <exception cref="NotSupportedException">The policy does not offer entropies.</exception>
    TokenStatistics LogProbsAndEntropies(TokenBatch batch, double temperature) =>
        throw new NotSupportedException($"{GetType().Name} gives no entropies. Implement IPolicy.LogProbsAndEntropies, or set EntropyCoefficient to 0.");

    /// <summary>Begins incremental decoding without gradients.</summary>
    /// <param name="prompts">Left-padded prompts, one row a prompt, [N, P]; the completion part is not read. Borrowed for the call.</param>
    /// <param name="groupSize">Sequences per prompt, G. The session has B = N·G rows, the group of prompt 0 first.</param>
    /// <param name="maxNewTokens">Upper bound on the calls of <see cref="IDecodingSession.Advance"/> plus one.</param>
    IDecodingSession StartDecoding(TokenBatch prompts, int groupSize, int maxNewTokens);

    /// <summary>Writes the weights, and whatever loading them needs, into an existing folder.</summary>
    /// <param name="directory">The folder.</param>
    void Save(string directory);

    /// <summary>Replaces the weights in place by those that <see cref="Save"/> wrote.</summary>
    /// <param name="directory">The folder.</param>
    void Load(string directory);
}
