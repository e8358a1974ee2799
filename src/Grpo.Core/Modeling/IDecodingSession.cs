using static TorchSharp.torch;

namespace Grpo.Modeling;

/// <summary>Decodes B sequences token by token, N·G at the start; owns the key/value cache and frees it in Dispose.</summary>
/// <remarks>Synchronous and without gradients; not thread-safe.</remarks>
public interface IDecodingSession : IDisposable
{
    /// <summary>Runs the prompts. Called once, first.</summary>
    /// <returns>Logits of the first completion token, [B, V], in the policy's dtype, on its device. Owned by the caller's scope.</returns>
    Tensor Prefill();

    /// <summary>Appends one token to every row.</summary>
    /// <param name="tokenIds">The tokens, [B] int64, on the policy's device. Borrowed.</param>
    /// <returns>Logits of the next token, [B, V]. Owned by the caller's scope.</returns>
    Tensor Advance(Tensor tokenIds);

    /// <summary>Goes on with some rows only: finished sequences cost nothing any more.</summary>
    /// <param name="rows">Rows of the session as it is now, at least one, each at most once. They become rows 0, 1, 2 …</param>
    void KeepRows(IReadOnlyList<int> rows);

    /// <summary>
    /// Whether prompts can join while others are being decoded (continuous batching): rows that <see cref="KeepRows"/> dropped have made
    /// room. Without it a sampler starts another session when this one has come to its end; the completions are the same.
    /// </summary>
    bool CanAddPrompts => false;

    /// <summary>Runs further prompts; their rows follow the present ones, the group of the first prompt first.</summary>
    /// <param name="prompts">
    /// Left-padded prompts, [n, P], P at most that of the prompts that the session was started with; as many as there is room for: B + n·G is
    /// at most the B of the start. Borrowed for the call.
    /// </param>
    /// <param name="groupSize">Sequences per prompt, G; need not be that of the start.</param>
    /// <returns>Logits of the first completion token of the new rows, [n·G, V]. Owned by the caller's scope.</returns>
    /// <exception cref="NotSupportedException"><see cref="CanAddPrompts"/> is false.</exception>
    Tensor AddPrompts(TokenBatch prompts, int groupSize) => throw new NotSupportedException($"{GetType().Name} takes no prompts after its start.");
}
