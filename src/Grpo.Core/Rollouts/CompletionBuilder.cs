using Grpo.Modeling;

namespace Grpo.Rollouts;

/// <summary>A completion that is being sampled: its tokens so far, with their log-probs and entropies.</summary>
/// <param name="randomKey">The key of the completion's random numbers.</param>
internal sealed class CompletionBuilder(ulong randomKey)
{
    private readonly List<int> _ids = [];
    private readonly List<float> _logProbs = [];
    private double _entropy;
    private FinishReason? _finish;

    public ulong RandomKey { get; } = randomKey;

    public bool IsFinished => _finish is not null;

    public IReadOnlyList<int> Ids => _ids;

    public void Append(SampledToken token, IReadOnlySet<int> endTokenIds, int maxTokens)
    {
        _ids.Add(token.Id);
        _logProbs.Add(token.LogProb);
        _entropy += token.Entropy;
        _finish = endTokenIds.Contains(token.Id) ? FinishReason.EndToken : _ids.Count == maxTokens ? FinishReason.Truncated : null;
    }

    /// <summary>Drops all tokens. Sampled again with the same random numbers, the completion comes out the same.</summary>
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

/// <summary>A sequence that is being sampled: its prompt and its completion so far.</summary>
/// <param name="PromptIds">The token ids of the prompt.</param>
/// <param name="Completion">The completion, which grows by a token per forward pass.</param>
internal sealed record RolloutRow(IReadOnlyList<int> PromptIds, CompletionBuilder Completion);
