namespace Grpo;

/// <summary>A completion while it grows.</summary>
internal sealed class CompletionBuilder(ulong randomKey)
{
    private readonly List<int> _ids = [];
    private readonly List<float> _logProbs = [];
    private double _entropy;

    public ulong RandomKey { get; } = randomKey;

    public bool IsFinished { get; private set; }

    public IReadOnlyList<int> Ids => _ids;

    public void Append(PickedToken token, IReadOnlySet<int> endTokenIds)
    {
        _ids.Add(token.Id);
        _logProbs.Add(token.LogProb);
        _entropy += token.Entropy;
        IsFinished = endTokenIds.Contains(token.Id);
    }

    public Completion Build(ITokenizer tokenizer) =>
        new(_ids, tokenizer.Decode(_ids), IsFinished ? FinishReason.EndToken : FinishReason.Truncated)
        {
            LogProbs = _logProbs,
            MeanEntropy = _ids.Count == 0 ? null : _entropy / _ids.Count,
        };
}
