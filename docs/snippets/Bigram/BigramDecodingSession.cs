using Grpo.Modeling;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Snippets;

/// <summary>A session without a cache: a bigram model remembers nothing but the last token, which it is given each time.</summary>
public sealed class BigramDecodingSession : IDecodingSession
{
    private readonly BigramTable _table;
    private readonly Tensor _lastOfPrompts;                                      // [B], owned
    private long _rows;

    public BigramDecodingSession(BigramTable table, TokenBatch prompts, int groupSize)
    {
        using var scope = TensorScope.BeginNoGrad();
        _table = table;
        _rows = prompts.Count * groupSize;
        // The batch is borrowed for this call, so what Prefill needs is copied; the group of prompt 0 comes first.
        Tensor last = prompts.PromptIds.select(1, prompts.PromptLength - 1);     // [N]
        _lastOfPrompts = scope.Release(last.repeat_interleave(groupSize));       // [B]
    }

    public Tensor Prefill() => Next(_lastOfPrompts);

    public Tensor Advance(Tensor tokenIds)
    {
        TensorGuard.Require(tokenIds, nameof(tokenIds), "[B]", _rows);
        return Next(tokenIds);
    }

    /// <summary>With a key/value cache, this is where its rows are selected.</summary>
    public void KeepRows(IReadOnlyList<int> rows) => _rows = rows.Count;

    public void Dispose() => _lastOfPrompts.Dispose();

    private Tensor Next(Tensor tokenIds)
    {
        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(_table.call(tokenIds));                                // [B, V]
    }
}
