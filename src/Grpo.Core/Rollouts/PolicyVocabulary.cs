using Grpo.Modeling;
using Grpo.Tensors;

namespace Grpo.Rollouts;

/// <summary>Finds how many token ids a policy has, and remembers it.</summary>
internal sealed class PolicyVocabulary
{
    private Known? _known;

    /// <summary>Returns the number of token ids of a policy.</summary>
    /// <param name="policy">The policy.</param>
    /// <returns>Null where the policy neither tells nor decodes.</returns>
    public async Task<int?> OfAsync(IPolicy policy)
    {
        if (_known is not { } known || !ReferenceEquals(known.Policy, policy))
        {
            _known = known = new Known(policy, (policy as IVocabularyPolicy)?.VocabularySize ?? await TensorThread.RunAsync(() => Measure(policy)).ConfigureAwait(false));
        }

        return known.Size;
    }

    /// <summary>Returns the number of token ids of a policy, and runs it once if it does not tell.</summary>
    /// <param name="policy">The policy.</param>
    /// <exception cref="NotSupportedException">The policy neither tells nor decodes.</exception>
    public static int Find(IPolicy policy)
    {
        if (policy is IVocabularyPolicy known)
        {
            return known.VocabularySize;
        }

        // What a distribution over the next token has. A tokenizer may know fewer: embeddings are often padded.
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
            return null; // The policy does not decode, because another engine samples for it. Its ids are then checked for their sign only.
        }
    }
}
