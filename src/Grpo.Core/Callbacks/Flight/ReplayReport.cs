using System.Globalization;
using Grpo.IO;
using Grpo.Modeling;

namespace Grpo.Callbacks;

/// <summary>The comparison of a recorded step with its replay.</summary>
public sealed record ReplayReport
{
    /// <summary>The number of the step.</summary>
    public required long Step { get; init; }

    /// <summary>The recorded hash of the weights before the step (<see cref="WeightHash"/>).</summary>
    public required string RecordedWeights { get; init; }

    /// <summary>The hash of the policy's weights before the replay.</summary>
    public required string Weights { get; init; }

    /// <summary>
    /// The hash of the policy's weights after the replay. If the replay is exact to the last bit, it equals the recorded hash
    /// of the next step.
    /// </summary>
    public required string WeightsAfter { get; init; }

    /// <summary>
    /// The message of the exception with which the optimizer refused the step. Nothing else could then be compared. Null if
    /// the step was done.
    /// </summary>
    public string? Refusal { get; init; }

    /// <summary>The token with the largest difference of the policy's log-probs. Null if no completion was trained on.</summary>
    public TokenDifference? LogProbs { get; init; }

    /// <summary>The token with the largest difference of the reference model's log-probs. Null without a KL term in the loss.</summary>
    public TokenDifference? ReferenceLogProbs { get; init; }

    /// <summary>The largest absolute difference of an advantage.</summary>
    public double AdvantageDifference { get; init; }

    /// <summary>The number of completions whose part in the updates differs (<see cref="FlightPart"/>).</summary>
    public int OtherParts { get; init; }

    /// <summary>
    /// The number of completions in another micro-batch than recorded, for example after a lack of memory in either run. The rounding of
    /// sums then differs, which explains differences of that size.
    /// </summary>
    public int OtherMicroBatches { get; init; }

    /// <summary>The optimizer steps, recorded and recomputed.</summary>
    public IReadOnlyList<ReplayedUpdate> Updates { get; init; } = [];

    /// <summary>Lists the differences between the record and the replay, a sentence each.</summary>
    /// <param name="tolerance">
    /// The tolerance for rounding, absolute for numbers below 1 and relative above. 0 is right for an equal machine and number of threads
    /// without a GPU. Hashes of weights and parts of completions must always be equal.
    /// </param>
    /// <returns>The sentences; empty if the replay agrees with the record.</returns>
    public IReadOnlyList<string> Differences(double tolerance = 1e-5)
    {
        List<string> found = [];
        if (Weights != RecordedWeights)
        {
            found.Add(
                $"The weights are not those that the step began with: their hash is {Weights[..12]}… and was {RecordedWeights[..12]}….");
        }

        if (Refusal is not null)
        {
            found.Add($"The step was refused: {Refusal}");
        }

        Compare("log-prob", LogProbs);
        Compare("reference log-prob", ReferenceLogProbs);
        if (!(AdvantageDifference <= tolerance))
        {
            found.Add(
                Invariant($"An advantage differs by {AdvantageDifference:G4}: the recorded ones do not follow from the recorded rewards."));
        }

        if (OtherParts > 0)
        {
            found.Add(Invariant($"{OtherParts} completions were treated otherwise."));
        }

        for (int i = 0; i < Updates.Count; i++)
        {
            if (Updates[i] is not { Recorded: { } recorded, Recomputed: { } again })
            {
                string change = Updates[i].Recorded is null ? "not done then and was done now" : "done then and was not done now";
                found.Add(Invariant($"Update {i + 1} was {change}."));
                continue;
            }

            CompareNumber(i, "loss", recorded.Loss, again.Loss);
            CompareNumber(i, "KL", recorded.Kl, again.Kl);
            CompareNumber(i, "KL coefficient", recorded.KlCoefficient, again.KlCoefficient);
            CompareNumber(i, "gradient norm", recorded.GradientNorm, again.GradientNorm);
            CompareNumber(i, "learning rate", recorded.LearningRate, again.LearningRate);
            CompareNumber(i, "entropy threshold", recorded.EntropyThreshold, again.EntropyThreshold);
            if ((recorded.SkipReason is null) != (again.SkipReason is null))
            {
                string change = recorded.SkipReason is null ? "applied then and skipped now" : "skipped then and applied now";
                found.Add(Invariant($"Update {i + 1} was {change}."));
            }
        }

        if (found.Count > 0 && OtherMicroBatches > 0)
        {
            found.Add(
                Invariant($"{OtherMicroBatches} completions were in other micro-batches then, so that sums are rounded otherwise now."));
        }

        return found;

        void Compare(string what, TokenDifference? difference)
        {
            if (difference is { } at && !(at.Nats <= tolerance))
            {
                string prompt = TerminalText.EscapeLine(at.PromptId);
                found.Add(Invariant($"The {what} of token {at.Token} of prompt '{prompt}', sample {at.Sample}, ")
                    + Invariant($"differs by {at.Nats:G4} nats, more than any other."));
            }
        }

        void CompareNumber(int update, string what, double? recorded, double? again)
        {
            if (!Distance.IsClose(recorded, again, tolerance))
            {
                found.Add(Invariant($"The {what} of update {update + 1} was {Show(recorded)} and is {Show(again)}."));
            }
        }
    }

    internal static ReplayReport Compare(FlightStep recorded, FlightStep recomputed, string weightsAfter) => new()
    {
        Step = recorded.Step,
        RecordedWeights = recorded.WeightHash,
        Weights = recomputed.WeightHash,
        WeightsAfter = weightsAfter,
        LogProbs = TokenDifference.Largest(recorded, recomputed, completion => completion.LogProbs),
        ReferenceLogProbs = TokenDifference.Largest(recorded, recomputed, completion => completion.ReferenceLogProbs),
        AdvantageDifference = Pairs(recorded, recomputed)
            .Max(pair => (double?)Distance.Between(pair.Then.Advantage, pair.Now.Advantage)) ?? 0,
        OtherParts = Pairs(recorded, recomputed).Count(pair => pair.Then.Part != pair.Now.Part),
        OtherMicroBatches = Pairs(recorded, recomputed)
            .Count(pair => pair is { Then.MicroBatch: { } then, Now.MicroBatch: { } now } && then != now),
        Updates = [.. Enumerable.Range(0, Math.Max(recorded.Updates.Count, recomputed.Updates.Count))
            .Select(i => new ReplayedUpdate(recorded.Updates.ElementAtOrDefault(i), recomputed.Updates.ElementAtOrDefault(i)))],
    };

    private static IEnumerable<(FlightCompletion Then, FlightCompletion Now)> Pairs(FlightStep recorded, FlightStep recomputed) =>
        recorded.Groups.Zip(recomputed.Groups).SelectMany(groups => groups.First.Completions.Zip(groups.Second.Completions));

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);

    private static string Show(double? value) => value is { } number ? number.ToString("R", CultureInfo.InvariantCulture) : "none";
}

/// <summary>A recorded optimizer step and its replay.</summary>
/// <param name="Recorded">The recorded optimizer step; null if the record has none.</param>
/// <param name="Recomputed">The recomputed optimizer step; null if the replay did none.</param>
public sealed record ReplayedUpdate(FlightUpdate? Recorded, FlightUpdate? Recomputed);

/// <summary>The token whose recomputed log-prob differs most from the recorded one.</summary>
/// <param name="Nats">
/// The absolute difference in nats. 0 if all log-probs are equal to the last bit, and ∞ if one of the two is missing.
/// </param>
/// <param name="PromptId">The id of the prompt.</param>
/// <param name="Sample">The index of the completion in its group, from 0.</param>
/// <param name="Token">The index of the token in the completion, from 0.</param>
public readonly record struct TokenDifference(double Nats, string PromptId, int Sample, int Token)
{
    /// <summary>Finds the largest difference in a step; null if there is nothing to compare.</summary>
    internal static TokenDifference? Largest(
        FlightStep recorded, FlightStep recomputed, Func<FlightCompletion, IReadOnlyList<float>?> logProbs)
    {
        TokenDifference? largest = null;
        foreach ((FlightGroup one, FlightGroup other) in recorded.Groups.Zip(recomputed.Groups))
        {
            for (int sample = 0; sample < one.Completions.Count; sample++)
            {
                IReadOnlyList<float> before = logProbs(one.Completions[sample]) ?? [], now = logProbs(other.Completions[sample]) ?? [];
                for (int token = 0; token < Math.Max(before.Count, now.Count); token++)
                {
                    double nats = token < before.Count && token < now.Count
                        ? Distance.Between(before[token], now[token])
                        : double.PositiveInfinity;
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

/// <summary>Computes the distance of two numbers: 0 for two NaN, and infinite for a number and a missing one.</summary>
internal static class Distance
{
    public static double Between(double one, double other) =>
        one.Equals(other) ? 0 : Math.Abs(one - other) is var distance && double.IsNaN(distance) ? double.PositiveInfinity : distance;

    public static double Between(double? one, double? other) =>
        one is { } left && other is { } right ? Between(left, right) : one is null && other is null ? 0 : double.PositiveInfinity;

    /// <summary>Returns true if two numbers are equal up to a tolerance, which is relative for numbers beyond 1.</summary>
    public static bool IsClose(double? one, double? other, double tolerance) =>
        Between(one, other) <= tolerance * Math.Max(1, Math.Abs(one ?? 0));
}
