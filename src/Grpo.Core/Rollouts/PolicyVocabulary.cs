using Grpo.Modeling;
using Grpo.Tensors;

namespace Grpo.Rollouts;

/// <summary>Finds the number of token ids of a policy and caches it.</summary>
internal sealed class PolicyVocabulary
{
    private Known? _known;

    /// <summary>Returns the number of token ids of a policy.</summary>
    /// <param name="policy">The policy.</param>
    /// <returns>The number; null if the policy neither reports it nor decodes.</returns>
    public async Task<int?> FindAsync(IPolicy policy)
    {
        if (_known is not { } known || !ReferenceEquals(known.Policy, policy))
        {
            int? size = (policy as IVocabularyPolicy)?.VocabularySize
                ?? await TensorThread.RunAsync(() => Measure(policy)).ConfigureAwait(false);
            _known = known = new Known(policy, size);
        }

        return known.Size;
    }

    /// <summary>Returns the number of token ids of a policy. A policy that does not report it is run once.</summary>
    /// <param name="policy">The policy.</param>
    /// <exception cref="NotSupportedException">The policy neither reports the number nor decodes.</exception>
    public static int Find(IPolicy policy)
    {
        if (policy is IVocabularyPolicy known)
        {
            return known.VocabularySize;
        }

        // The width of the next token's distribution. A tokenizer may have fewer ids, because embeddings are often padded.
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch prompt = TokenBatchBuilder.Build([new TokenSequence([0], [])], padTokenId: 0, policy.Device());
        using IDecodingSession session = policy.StartDecoding(prompt, groupSize: 1, maxNewTokens: 1);
        return checked((int)session.Prefill().shape[^1]);                // [1, V]
    }

    private sealed record Known(IPolicy Policy, int? Size);

    private static int? Measure(IPolicy policy)
    {
        try
        {
            return Find(policy);
        }
        catch (Exception exception) when (exception is NotSupportedException or NotImplementedException or InvalidOperationException)
        {
            return null; // The policy does not decode, because another engine samples for it. Ids are then only required to be 0 or more.
        }
    }
}
