namespace Grpo.Callbacks;

/// <summary>The token at which a log-prob differs most from the recorded one.</summary>
/// <param name="Nats">|recorded − recomputed|, nats; 0 when all are equal to the last bit, ∞ when only one of the two is there.</param>
/// <param name="PromptId">Id of its prompt.</param>
/// <param name="Sample">Index in its group, from 0.</param>
/// <param name="Token">Index in the completion, from 0.</param>
public readonly record struct TokenDifference(double Nats, string PromptId, int Sample, int Token)
{
    /// <summary>The largest over a step; null when there is nothing to compare.</summary>
    internal static TokenDifference? Largest(FlightStep recorded, FlightStep recomputed, Func<FlightCompletion, IReadOnlyList<float>?> logProbs)
    {
        TokenDifference? largest = null;
        foreach ((FlightGroup one, FlightGroup other) in recorded.Groups.Zip(recomputed.Groups))
        {
            for (int sample = 0; sample < one.Completions.Count; sample++)
            {
                IReadOnlyList<float> before = logProbs(one.Completions[sample]) ?? [], now = logProbs(other.Completions[sample]) ?? [];
                for (int token = 0; token < Math.Max(before.Count, now.Count); token++)
                {
                    double nats = token < before.Count && token < now.Count ? Distance.Of(before[token], now[token]) : double.PositiveInfinity;
                    if (largest is not { } so || nats > so.Nats)
                    {
                        largest = new TokenDifference(nats, one.PromptId, sample, token);
                    }
                }
            }
        }

        return largest;
    }
}
