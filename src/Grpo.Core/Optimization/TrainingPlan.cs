using System.Globalization;
using Grpo.Modeling;
using Grpo.Planning;

namespace Grpo.Optimization;

/// <summary>
/// What a run is going to do, worked out from the options and the policy before anything is run. <see cref="ToString"/> is
/// the page to read.
/// </summary>
public sealed record TrainingPlan
{
    /// <summary>Prompts of a step.</summary>
    public required int PromptsPerStep { get; init; }

    /// <summary>Completions per prompt, G.</summary>
    public required int GroupSize { get; init; }

    /// <summary>Completions of a step, B.</summary>
    public int CompletionsPerStep => PromptsPerStep * GroupSize;

    /// <summary>Length limit of a completion, tokens.</summary>
    public required int MaxCompletionTokens { get; init; }

    /// <summary>Length limit of a prompt, tokens.</summary>
    public required int MaxPromptTokens { get; init; }

    /// <summary>Completion tokens of a step, at most.</summary>
    public long MaxCompletionTokensPerStep => (long)CompletionsPerStep * MaxCompletionTokens;

    /// <summary>Tokens that an optimizer step runs the model on, prompts included, at most.</summary>
    public long MaxTokensPerStep => (long)CompletionsPerStep * (MaxPromptTokens + MaxCompletionTokens);

    /// <summary>Sequences per micro-batch.</summary>
    public required int MicroBatchSize { get; init; }

    /// <summary>Tokens per micro-batch, at most; null when only <see cref="MicroBatchSize"/> bounds it.</summary>
    public int? MaxTokensPerMicroBatch { get; init; }

    /// <summary>Whether a prompt is computed once for the completions of its group that are in one micro-batch.</summary>
    public bool SharesPrompts { get; init; }

    /// <summary>
    /// Micro-batches of an optimizer step, at most: completions without advantage are left out, and shorter sequences share a token budget.
    /// </summary>
    public int MaxMicroBatches
    {
        get
        {
            int longest = MaxPromptTokens + MaxCompletionTokens;
            int sequences = MaxTokensPerMicroBatch is { } budget ? Math.Clamp(budget / longest, 1, MicroBatchSize) : MicroBatchSize;
            return (CompletionsPerStep + sequences - 1) / sequences;
        }
    }

    /// <summary>Optimizer steps per rollout, μ.</summary>
    public required int UpdatesPerRollout { get; init; }

    /// <summary>
    /// How many optimizer steps the policy is ahead of the one that sampled, at the last update of a round; 0 is on-policy.
    /// </summary>
    public int MaxStaleness => UpdatesPerRollout - 1;

    /// <summary>Whether π_old has to be kept: those log-probs are a by-product of the first update's forward pass.</summary>
    public bool NeedsOldLogProbs => MaxStaleness > 0;

    /// <summary>Whether a reference model is run, once per step.</summary>
    public required bool NeedsReferenceModel { get; init; }

    /// <summary>How the reference model changes, in words; null when it stays as it is or there is none.</summary>
    public string? ReferenceMove { get; init; }

    /// <summary>The loss per token: name, and the text that configuration reads.</summary>
    public required string Objective { get; init; }

    /// <summary>The advantage: name, and the text that configuration reads.</summary>
    public required string Advantage { get; init; }

    /// <summary>The KL term in words.</summary>
    public required string Kl { get; init; }

    /// <summary>Everything else that is switched on and changes the loss, in words; empty by default.</summary>
    public required IReadOnlyList<string> Extras { get; init; }

    /// <summary>The reduction and what the loss of an optimizer step is divided by, in words.</summary>
    public required string Denominator { get; init; }

    /// <summary>AdamW's constants, learning rate and clipping in words.</summary>
    public required string Optimizer { get; init; }

    /// <summary>Rollout rounds, at most, in which groups that teach nothing are replaced; 1: never.</summary>
    public required int MaxSamplingRounds { get; init; }

    /// <summary>Temperature of sampling and of all log-probs.</summary>
    public required double Temperature { get; init; }

    /// <summary>Numbers that are trained.</summary>
    public required long TrainedParameters { get; init; }

    /// <summary>Numbers of the policy that are frozen.</summary>
    public required long FrozenParameters { get; init; }

    /// <summary>Where AdamW's two moments are kept and in how many bits.</summary>
    public OptimizerMoments Moments { get; init; } = OptimizerMoments.Float32;

    /// <summary>Bytes of the two.</summary>
    public required long MomentBytes { get; init; }

    /// <summary>How much memory the run needs; null where the policy cannot tell (<see cref="IMemoryPlannedPolicy"/>).</summary>
    public MemoryPlan? Memory { get; init; }

    /// <summary>Whether that fits into the machine's main memory; null where the policy cannot tell, or is on another device.</summary>
    public MemoryVerdict? MemoryVerdict { get; init; }

    /// <summary>How long a step takes, as measured so far; null before the first.</summary>
    public StepTimes? StepTimes { get; init; }

    /// <summary>One line per subject, for people.</summary>
    public override string ToString()
    {
        (string Subject, string Words)[] lines =
        [
            ("step", $"{Count(PromptsPerStep, "prompt")} x {Count(GroupSize, "completion")} = {Number(CompletionsPerStep)}, "
                + $"each of at most {Count(MaxCompletionTokens, "token")}: {Count(MaxCompletionTokensPerStep, "token")} in all, "
                + $"{Number(MaxTokensPerStep)} with prompts of at most {Number(MaxPromptTokens)}"),
            ("sampling",
                FormattableString.Invariant($"temperature {Temperature}, which also divides the logits of policy, old policy and reference")
                    + (MaxSamplingRounds == 1
                        ? string.Empty
                        : $"; groups that teach nothing are replaced in up to {Count(MaxSamplingRounds, "round")}")),
            ("updates", $"{Number(UpdatesPerRollout)} per round, each in at most {Count(MaxMicroBatches, "micro-batch", "es")} of "
                + $"{Count(MicroBatchSize, "sequence")}"
                + (MaxTokensPerMicroBatch is { } budget ? $" and {Count(budget, "token")} at most" : string.Empty)
                + (SharesPrompts ? "; a prompt is computed once for the completions of its group" : string.Empty)),
            ("policy", NeedsOldLogProbs
                ? $"off-policy: the last update of a round comes {Count(MaxStaleness, "optimizer step")} after sampling; "
                    + "the first has w = π/π_old = 1"
                : "on-policy: the only update of a round has w = π/π_old = 1, so neither a clip nor a cap acts"),
            ("old log-probs", NeedsOldLogProbs ? "kept from the first update's own forward pass" : "not needed"),
            ("reference", NeedsReferenceModel
                ? "needed: one more forward pass, without gradient, per micro-batch and round"
                    + (ReferenceMove is null ? string.Empty : $"; {ReferenceMove}")
                : "not needed"),
            ("advantage", Advantage),
            ("objective", Objective),
            ("KL", Kl),
            .. Extras.Count == 0 ? Array.Empty<(string, string)>() : [("besides", string.Join("; ", Extras))],
            ("loss", Denominator),
            ("trained", $"{Count(TrainedParameters, "parameter")}, {Number(FrozenParameters)} frozen"),
            ("optimizer", $"{Optimizer}; moments of {Count(MomentBytes, "byte")}{MomentsPlace}"),
            .. Memory is null
                ? Array.Empty<(string, string)>()
                : [("memory", Memory.ToSentence() + (MemoryVerdict is null ? string.Empty : $"; {MemoryVerdict.ToSentence()}"))],
            ("time", StepTimes?.ToString() ?? "measured on the first step"),
        ];
        return string.Join('\n', lines.Select(line => $"{line.Subject,-14}{line.Words}"));
    }

    private string MomentsPlace => Moments switch
    {
        OptimizerMoments.Host => " in main memory",
        OptimizerMoments.Int8 => ", in 8 bits",
        _ => string.Empty,
    };

    private static string Count(long number, string noun, string plural = "s") =>
        $"{Number(number)} {noun}{(number == 1 ? string.Empty : plural)}";

    private static string Number(long number) => number.ToString("N0", CultureInfo.InvariantCulture);
}
