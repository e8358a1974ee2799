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
}
