using System.Globalization;
using Grpo.Modeling;
using Grpo.Planning;

namespace Grpo.Optimization;

/// <summary>
/// The plan of a training run, computed from its options and its policy before the first step: sizes, methods, memory and times.
/// </summary>
/// <remarks><see cref="ToString"/> returns a page to read.</remarks>
public sealed record TrainingPlan
{
    /// <summary>The number of prompts per step.</summary>
    public required int PromptsPerStep { get; init; }

    /// <summary>The number of completions per prompt, G.</summary>
    public required int GroupSize { get; init; }

    /// <summary>The number of completions per step, B.</summary>
    public int CompletionsPerStep => PromptsPerStep * GroupSize;

    /// <summary>The length limit of a completion in tokens.</summary>
    public required int MaxCompletionTokens { get; init; }

    /// <summary>The length limit of a prompt in tokens.</summary>
    public required int MaxPromptTokens { get; init; }

    /// <summary>The largest number of completion tokens per step.</summary>
    public long MaxCompletionTokensPerStep => (long)CompletionsPerStep * MaxCompletionTokens;

    /// <summary>The largest number of tokens that an optimizer step runs the model on, including prompts.</summary>
    public long MaxTokensPerStep => (long)CompletionsPerStep * (MaxPromptTokens + MaxCompletionTokens);

    /// <summary>The largest number of sequences per micro-batch.</summary>
    public required int MicroBatchSize { get; init; }

    /// <summary>The largest number of tokens per micro-batch; null if only <see cref="MicroBatchSize"/> limits it.</summary>
    public int? MaxTokensPerMicroBatch { get; init; }

    /// <summary>True if a prompt is computed once for all completions of its group in a micro-batch.</summary>
    public bool SharesPrompts { get; init; }

    /// <summary>
    /// The largest number of micro-batches per optimizer step. There are fewer if completions have no advantage or are short.
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

    /// <summary>The number of optimizer steps per rollout, μ.</summary>
    public required int UpdatesPerRollout { get; init; }

    /// <summary>
    /// The number of optimizer steps between sampling and the last update on a rollout. 0 means on-policy training.
    /// </summary>
    public int MaxStaleness => UpdatesPerRollout - 1;

    /// <summary>True if the old log-probs are kept for later updates. They come from the first update's forward pass.</summary>
    public bool NeedsOldLogProbs => MaxStaleness > 0;

    /// <summary>True if a reference model is needed, which runs once per step.</summary>
    public required bool NeedsReferenceModel { get; init; }

    /// <summary>The description of the reference model's moves; null if it does not move or is not needed.</summary>
    public string? ReferenceMove { get; init; }

    /// <summary>The objective of each token: its name and its text in configuration.</summary>
    public required string Objective { get; init; }

    /// <summary>The advantage function: its name and its text in configuration.</summary>
    public required string Advantage { get; init; }

    /// <summary>The description of the KL term.</summary>
    public required string Kl { get; init; }

    /// <summary>The descriptions of all other options that change the loss; empty by default.</summary>
    public required IReadOnlyList<string> Extras { get; init; }

    /// <summary>The description of the reduction and of the divisor of the loss.</summary>
    public required string Denominator { get; init; }

    /// <summary>The description of the optimizer: constants of AdamW, learning rate and clipping.</summary>
    public required string Optimizer { get; init; }

    /// <summary>The peak learning rate and the reason for it.</summary>
    public required LearningRateChoice LearningRate { get; init; }

    /// <summary>The largest number of rollout rounds per step. With 1, groups that teach nothing are not replaced.</summary>
    public required int MaxSamplingRounds { get; init; }

    /// <summary>The temperature of sampling and of all log-probs.</summary>
    public required double Temperature { get; init; }

    /// <summary>The number of trained parameters (single weights).</summary>
    public required long TrainedParameters { get; init; }

    /// <summary>The number of frozen parameters (single weights) of the policy.</summary>
    public required long FrozenParameters { get; init; }

    /// <summary>The place and the precision in which AdamW keeps its moments.</summary>
    public OptimizerMoments Moments { get; init; } = OptimizerMoments.Float32;

    /// <summary>The size of AdamW's moments in bytes.</summary>
    public required long MomentBytes { get; init; }

    /// <summary>
    /// The memory that the run needs; null if the policy is not an <see cref="IMemoryPlannedPolicy"/> with a memory model.
    /// </summary>
    public MemoryPlan? Memory { get; init; }

    /// <summary>
    /// The answer if the run fits into main memory, with remedies if not; null if the policy is not on a CPU or has no memory model.
    /// </summary>
    public MemoryVerdict? MemoryVerdict { get; init; }

    /// <summary>The kernels that run the policy; null if the policy is not an <see cref="IKernelPolicy"/>.</summary>
    public string? Kernels { get; init; }

    /// <summary>The mean times of the steps so far; null before the first step.</summary>
    public StepTimes? StepTimes { get; init; }

    /// <summary>Returns the plan as a readable page with one line per subject.</summary>
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
            .. LearningRate.TrainsAdapter ? [("learning rate", LearningRate.ToString())] : Array.Empty<(string, string)>(),
            .. Memory is null
                ? Array.Empty<(string, string)>()
                : [("memory", Memory.ToSentence() + (MemoryVerdict is null ? string.Empty : $"; {MemoryVerdict.ToSentence()}"))],
            .. Kernels is null ? Array.Empty<(string, string)>() : [("kernels", Kernels)],
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

/// <summary>The mean times of a <see cref="GrpoOptimizer"/>'s steps so far.</summary>
/// <remarks>The first step warms up caches and code, so it counts only until there is a second step.</remarks>
/// <param name="Rollout">The mean time of sampling.</param>
/// <param name="Scoring">The mean time of rewards and advantages.</param>
/// <param name="Update">The mean time of log-probs, backward passes and AdamW.</param>
/// <param name="Steps">The number of steps in the means.</param>
public sealed record StepTimes(TimeSpan Rollout, TimeSpan Scoring, TimeSpan Update, long Steps)
{
    /// <summary>The mean time of a whole step, excluding evaluation and checkpoints.</summary>
    public TimeSpan Step => Rollout + Scoring + Update;

    /// <summary>
    /// Estimates the time of further steps from the mean. It can be wrong, because completions usually change their length in training.
    /// </summary>
    /// <param name="steps">The number of further steps, 0 or more.</param>
    public TimeSpan For(long steps) => Step * steps;

    /// <summary>Returns the means as a readable text.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"{Step.TotalSeconds:F2} s per step (rollout {Rollout.TotalSeconds:F2}, scoring {Scoring.TotalSeconds:F2}, update "
        + $"{Update.TotalSeconds:F2}), mean of {Steps}");

    /// <summary>Adds a step to the means.</summary>
    internal static StepTimes Add(StepTimes? before, StepReport report)
    {
        var one = new StepTimes(report.RolloutTime, report.ScoringTime, report.UpdateTime, 1);
        if (before is null || before.IsWarmUp)
        {
            return one with { IsWarmUp = before is null };
        }

        long steps = before.Steps + 1;
        return new StepTimes(
            before.Rollout + ((one.Rollout - before.Rollout) / steps),
            before.Scoring + ((one.Scoring - before.Scoring) / steps),
            before.Update + ((one.Update - before.Update) / steps),
            steps);
    }

    private bool IsWarmUp { get; init; }
}
