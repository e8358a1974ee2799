using Grpo.Models.Qwen.Cpu;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>What one forward pass does to a key/value cache.</summary>
/// <param name="Cache">The cache.</param>
internal abstract record CachePass(KeyValueCache Cache)
{
    /// <summary>The pass runs whole prompts, padded on the right, and writes them behind the present rows.</summary>
    /// <param name="Cache">The cache.</param>
    /// <param name="GroupSize">Rows of a prompt, G.</param>
    internal sealed record Prompts(KeyValueCache Cache, int GroupSize) : CachePass(Cache);

    /// <summary>The pass runs one new token of every row, which sees what the cache holds of its row.</summary>
    /// <param name="Cache">The cache.</param>
    /// <param name="Places">Where the tokens are written, [B, K, 1, D] int64; null when the rows are equally long.</param>
    /// <param name="Int8">The weights in 8 bits, to multiply by in place of the model's own; null: its own.</param>
    internal sealed record NextTokens(KeyValueCache Cache, Tensor? Places, Int8Weights? Int8) : CachePass(Cache);
}
