using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>
/// A session that decodes B sequences token by token, N·G at the start. It owns the key/value cache and frees it in Dispose.
/// </summary>
/// <remarks>Its methods are synchronous, record no gradients, and are not thread-safe.</remarks>
public interface IDecodingSession : IDisposable
{
    /// <summary>Runs the prompts through the model. Must be the first call, and is called once.</summary>
    /// <returns>
    /// The logits of the first completion token, [B, V], in the policy's dtype, on its device. Owned by the caller's scope.
    /// </returns>
    Tensor Prefill();

    /// <summary>Appends one token to every row and computes the next logits.</summary>
    /// <param name="tokenIds">The tokens, [B] int64, on the policy's device. Borrowed.</param>
    /// <returns>The logits of the next token, [B, V]. Owned by the caller's scope.</returns>
    Tensor Advance(Tensor tokenIds);

    /// <summary>Evicts all rows but the given ones, so that finished sequences cost nothing.</summary>
    /// <param name="rows">The present indices of the rows to keep, at least one, each at most once. They become rows 0, 1, 2 …</param>
    void KeepRows(IReadOnlyList<int> rows);

    /// <summary>
    /// True if prompts can be admitted while others are being decoded (continuous batching), in the place of rows that
    /// <see cref="KeepRows"/> evicted. Otherwise a sampler starts a new session when this one ends; the completions are equal.
    /// </summary>
    /// <value>Default false.</value>
    bool CanAddPrompts => false;

    /// <summary>
    /// Admits further prompts and runs them through the model. Their rows follow the present ones, the first prompt's group first.
    /// </summary>
    /// <param name="prompts">
    /// The left-padded prompts, [n, P], with P at most that of the session's first prompts. B + n·G must not exceed the B of the start.
    /// Borrowed for the call.
    /// </param>
    /// <param name="groupSize">The number of sequences per prompt, G. It may differ from that of the start.</param>
    /// <returns>The logits of the first completion token of the new rows, [n·G, V]. Owned by the caller's scope.</returns>
    /// <exception cref="NotSupportedException"><see cref="CanAddPrompts"/> is false.</exception>
    Tensor AddPrompts(TokenBatch prompts, int groupSize) =>
        throw new NotSupportedException($"{GetType().Name} takes no prompts after its start.");
}
