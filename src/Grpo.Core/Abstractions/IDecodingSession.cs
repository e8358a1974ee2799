using static TorchSharp.torch;

namespace Grpo;

/// <summary>Decodes B = N·G sequences token by token; owns the key/value cache and frees it in Dispose.</summary>
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
}
