using Grpo.Modeling;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Callbacks;

/// <summary>The current log-probs and entropies of the policy for tokens that it sampled earlier.</summary>
/// <param name="LogProbs">The current log-probability of each token, in nats.</param>
/// <param name="Entropies">The current entropy at each token, in nats; null if the policy computes none.</param>
internal sealed record TokenNumbers(IReadOnlyList<float> LogProbs, IReadOnlyList<float>? Entropies)
{
    /// <summary>Computes the numbers in one forward pass, without gradients, over the completions of a group.</summary>
    /// <param name="details">The policy and tokenizer.</param>
    /// <param name="promptIds">The token ids of the prompt.</param>
    /// <param name="completions">The token ids of the completions: at least one completion, none empty.</param>
    /// <param name="temperature">The sampling temperature of the completions, above 0.</param>
    public static IReadOnlyList<TokenNumbers> Read(
        TokenDetails details, IReadOnlyList<int> promptIds, IReadOnlyList<IReadOnlyList<int>> completions, double temperature)
    {
        using var scope = TensorScope.BeginNoGrad();
        TokenBatch batch = TokenBatchBuilder.Build(
            [.. completions.Select(ids => new TokenSequence(promptIds, ids))], details.Tokenizer.PadTokenId, details.Policy.Device());
        (Tensor logProbs, Tensor? entropies) = Statistics(details.Policy, batch, temperature);                     // [B, C] each
        float[] flatLogProbs = DeviceTransfer.ToArray<float>(logProbs);
        float[]? flatEntropies = entropies is null ? null : DeviceTransfer.ToArray<float>(entropies);
        int columns = checked((int)batch.CompletionLength);
        return
        [
            .. completions.Select((ids, row) => new TokenNumbers(
                flatLogProbs.AsSpan(row * columns, ids.Count).ToArray(),
                flatEntropies?.AsSpan(row * columns, ids.Count).ToArray())),
        ];
    }

    private static (Tensor LogProbs, Tensor? Entropies) Statistics(IPolicy policy, TokenBatch batch, double temperature)
    {
        if (policy is not IEntropyPolicy withEntropies)
        {
            return (policy.LogProbs(batch, temperature), null);
        }

        TokenStatistics both = withEntropies.LogProbsAndEntropies(batch, temperature);
        return (both.LogProbs, both.Entropies);
    }
}
