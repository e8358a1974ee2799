using Grpo.Optimization;

namespace Grpo.Callbacks;

/// <summary>The metrics that a report plots, under their names in <see cref="StepMetrics"/>.</summary>
internal static class ReportMetrics
{
    public const string Reward = "reward";
    public const string RewardDeviation = "reward_std";
    public const string Accuracy = "accuracy";
    public const string Kl = "kl";
    public const string Entropy = "entropy";
    public const string ClipLow = "clip_ratio/low_mean";
    public const string ClipHigh = "clip_ratio/high_mean";
    public const string Length = "completions/mean_length";
    public const string Truncated = "completions/clipped_ratio";
    public const string NoSignal = "frac_reward_zero_std";
    public const string GradientNorm = "grad_norm";
    public const string LearningRate = "learning_rate";
    public const string Rollout = "time/rollout";
    public const string Scoring = "time/scoring";
    public const string Update = "time/update";

    /// <summary>Completion tokens against the time of the whole step; not among the step metrics.</summary>
    public const string TokensPerSecond = "tokens_per_second";

    public static IReadOnlyList<string> All { get; } =
    [
        Reward, RewardDeviation, Accuracy, Kl, Entropy, ClipLow, ClipHigh, Length, Truncated, NoSignal, GradientNorm, LearningRate, Rollout, Scoring, Update, TokensPerSecond,
    ];
}
