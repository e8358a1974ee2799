using Grpo.Modeling;

namespace Grpo.Rollouts;

/// <summary>A completion while it grows.</summary>
internal sealed class CompletionBuilder(ulong randomKey)
{
    private readonly List<int> _ids = [];
    private readonly List<float> _logProbs = [];
    private double _entropy;
    private FinishReason? _finish;

    public ulong RandomKey { get; } = randomKey;

    public bool IsFinished => _finish is not null;

    public IReadOnlyList<int> Ids => _ids;

    public void Append(PickedToken token, IReadOnlySet<int> endTokenIds, int maxTokens)
    {
        _ids.Add(token.Id);
        _logProbs.Add(token.LogProb);
        _entropy += token.Entropy;
        _finish = endTokenIds.Contains(token.Id) ? FinishReason.EndToken : _ids.Count == maxTokens ? FinishReason.Truncated : null;
    }

    /// <summary>Back to the beginning, which the same random numbers make the same again.</summary>
    public void Restart()
    {
        _ids.Clear();
        _logProbs.Clear();
        _entropy = 0;
        _finish = null;
    }

    public Completion Build(ITokenizer tokenizer) => new(_ids, CheckedText.Decode(tokenizer, _ids), _finish!.Value)
    {
        LogProbs = _logProbs,
        MeanEntropy = _entropy / _ids.Count,
    };
}
