using System.Globalization;
using Grpo.IO;
using Grpo.Modeling;
using Grpo.Optimization;

namespace Grpo.Callbacks;

/// <summary>A recorded step against the same step done again.</summary>
public sealed record ReplayReport
{
    /// <summary>The step.</summary>
    public required long Step { get; init; }

    /// <summary><see cref="WeightHash"/> before the step, as recorded.</summary>
    public required string RecordedWeights { get; init; }

    /// <summary>The same of the policy that the replay was given.</summary>
    public required string Weights { get; init; }

    /// <summary>The same of that policy after the step; equal to what is recorded of the next step when everything is equal to the last bit.</summary>
    public required string WeightsAfter { get; init; }

    /// <summary>Why the step was refused, in the words of its exception: nothing else could be compared then. Null when it was done.</summary>
    public string? Refusal { get; init; }

    /// <summary>Where the policy's log-probs differ most; null when no completion was trained on.</summary>
    public TokenDifference? LogProbs { get; init; }

    /// <summary>Where the reference model's do; null without a KL term in the loss.</summary>
    public TokenDifference? ReferenceLogProbs { get; init; }

    /// <summary>The largest |recorded − recomputed| advantage.</summary>
    public double AdvantageDifference { get; init; }

    /// <summary>Completions of which something else became: <see cref="FlightPart"/>.</summary>
    public int OtherParts { get; init; }

    /// <summary>
    /// Completions that were run in another micro-batch, as after a lack of memory in one of the two: sums are rounded otherwise then, so a
    /// difference as small as rounding needs no other cause.
    /// </summary>
    public int OtherMicroBatches { get; init; }

    /// <summary>The optimizer steps.</summary>
    public IReadOnlyList<ReplayedUpdate> Updates { get; init; } = [];

    /// <summary>What differs, a sentence each; empty when the step came out as it was.</summary>
    /// <param name="tolerance">
    /// What rounding may cost, absolute below 1 and relative above: 0 for the same machine, number of threads and no GPU. Weights and what
    /// became of the completions must be equal in any case.
    /// </param>
    public IReadOnlyList<string> Differences(double tolerance = 1e-5)
    {
        List<string> found = [];
        if (Weights != RecordedWeights)
        {
            found.Add($"The weights are not those that the step began with: their hash is {Weights[..12]}… and was {RecordedWeights[..12]}….");
        }

        if (Refusal is not null)
        {
            found.Add($"The step was refused: {Refusal}");
        }

        Compare("log-prob", LogProbs);
        Compare("reference log-prob", ReferenceLogProbs);
        if (!(AdvantageDifference <= tolerance))
        {
            found.Add(Invariant($"An advantage differs by {AdvantageDifference:G4}: the recorded ones do not follow from the recorded rewards."));
        }

        if (OtherParts > 0)
        {
            found.Add(Invariant($"{OtherParts} completions were treated otherwise."));
        }

        for (int i = 0; i < Updates.Count; i++)
        {
            if (Updates[i] is not { Recorded: { } recorded, Recomputed: { } again })
            {
                found.Add(Invariant($"Update {i + 1} was {(Updates[i].Recorded is null ? "not done then and was done now" : "done then and was not done now")}."));
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
                found.Add(Invariant($"Update {i + 1} was {(recorded.SkipReason is null ? "applied then and skipped now" : "skipped then and applied now")}."));
            }
        }

        if (found.Count > 0 && OtherMicroBatches > 0)
        {
            found.Add(Invariant($"{OtherMicroBatches} completions were in other micro-batches then, so that sums are rounded otherwise now."));
        }

        return found;

        void Compare(string what, TokenDifference? difference)
        {
            if (difference is { } at && !(at.Nats <= tolerance))
            {
                found.Add(Invariant($"The {what} of token {at.Token} of prompt '{TerminalText.EscapeLine(at.PromptId)}', sample {at.Sample}, differs by {at.Nats:G4} nats, more than any other."));
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
        AdvantageDifference = Pairs(recorded, recomputed).Max(pair => (double?)Distance.Of(pair.Then.Advantage, pair.Now.Advantage)) ?? 0,
        OtherParts = Pairs(recorded, recomputed).Count(pair => pair.Then.Part != pair.Now.Part),
        OtherMicroBatches = Pairs(recorded, recomputed).Count(pair => pair is { Then.MicroBatch: { } then, Now.MicroBatch: { } now } && then != now),
        Updates = [.. Enumerable.Range(0, Math.Max(recorded.Updates.Count, recomputed.Updates.Count))
            .Select(i => new ReplayedUpdate(recorded.Updates.ElementAtOrDefault(i), recomputed.Updates.ElementAtOrDefault(i)))],
    };

    private static IEnumerable<(FlightCompletion Then, FlightCompletion Now)> Pairs(FlightStep recorded, FlightStep recomputed) =>
        recorded.Groups.Zip(recomputed.Groups).SelectMany(groups => groups.First.Completions.Zip(groups.Second.Completions));

    private static string Invariant(FormattableString text) => FormattableString.Invariant(text);

    private static string Show(double? value) => value is { } number ? number.ToString("R", CultureInfo.InvariantCulture) : "none";
}
