using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Optimization;
using Grpo.Planning;

namespace Grpo;

/// <summary>Options of a <see cref="GrpoOptimizer"/>. The defaults: GRPO's advantages, DAPO's token mean, no KL term.</summary>
/// <remarks>
/// <see cref="Validate"/> lists every value out of range; the optimizer's constructor calls it. Numbers that float32 rounds to 0 or to
/// infinity are out of range too.
/// </remarks>
public sealed record GrpoOptions : IReflectedOptions
{
    /// <summary>Completions per prompt, G (num_generations).</summary>
    /// <value>2 to 1024; default 8.</value>
    public int GroupSize { get; set; } = 8;

    /// <summary>Prompts per step; a step samples PromptsPerStep · GroupSize completions.</summary>
    /// <value>1 to 65536; default 8.</value>
    public int PromptsPerStep { get; set; } = 8;

    /// <summary>
    /// Rollout rounds per step, at most: groups that teach nothing are replaced by groups of further prompts (DAPO's dynamic sampling).
    /// </summary>
    /// <value>1 (no replacement) to 64; default 1.</value>
    public int MaxSamplingRounds { get; set; } = 1;

    /// <summary>How completions are sampled.</summary>
    public SamplingOptions Sampling { get; set; } = new();

    /// <summary>How failing rewards are treated.</summary>
    public RewardOptions Rewards { get; set; } = new();

    /// <summary>How the rewards of a step become advantages.</summary>
    /// <value>
    /// Default <see cref="GroupNormalizedAdvantage"/>. In configuration a text such as "mean-centered" or "group-normalized(Epsilon=1e-6)".
    /// </value>
    public AdvantageFunction Advantage { get; set; } = new GroupNormalizedAdvantage();

    /// <summary>The loss per token, with its clip range.</summary>
    /// <value>Default <see cref="ClippedObjective"/> with ε = 0.2. In configuration a text such as "clipped(Low=0.2, High=0.28)".</value>
    public PolicyObjective Objective { get; set; } = new ClippedObjective();

    /// <summary>How per-token losses become a scalar; an objective refuses those with which it does not mean what its paper says.</summary>
    /// <value>Default <see cref="LossReduction.TokenMean"/>.</value>
    public LossReduction Reduction { get; set; } = LossReduction.TokenMean;

    /// <summary>Weight β of the KL term. 0 switches the reference model off.</summary>
    /// <value>0 to 10; default 0.</value>
    public double KlCoefficient { get; set; }

    /// <summary>
    /// The KL that β moves to hold, nats per token (<see cref="AdaptiveKl"/>); <see cref="KlCoefficient"/> is then only where it starts.
    /// </summary>
    /// <value>Above 0, or null for a fixed β; default null.</value>
    public double? KlTarget { get; set; }

    /// <summary>
    /// Which estimate the KL term is, and whether it is one of the loss or of the reward; read only
    /// when <see cref="KlCoefficient"/> is above 0.
    /// </summary>
    /// <value>Default <see cref="KlEstimator.K3"/>.</value>
    public KlEstimator KlEstimator { get; set; } = KlEstimator.K3;

    /// <summary>
    /// Moves the reference model toward the policy after every so many steps (TR-DPO, arXiv:2404.09656, there every 512). The reference is
    /// then part of the checkpoint.
    /// </summary>
    /// <value>1 or more, or null for a reference that stays; default null.</value>
    public long? ReferenceSyncEvery { get; set; }

    /// <summary>α of that move: π_ref ← α·π + (1 − α)·π_ref, in the weights. 1 replaces the reference.</summary>
    /// <value>Above 0, to 1; default 0.6, the paper's.</value>
    public double ReferenceSyncMix { get; set; } = 0.6;

    /// <summary>
    /// Weight of the entropy bonus, which keeps the policy from settling too early; needs a policy that gives entropies, as Qwen's does.
    /// </summary>
    /// <value>0 to 1; default 0. Above 0 completions without advantage are trained on too.</value>
    public double EntropyCoefficient { get; set; }

    /// <summary>
    /// Trains only on this fraction of the step's tokens: those at which the policy is least sure. Costs one more forward pass per update;
    /// needs a policy that gives entropies. arXiv:2506.01939 (which uses 0.2).
    /// </summary>
    /// <value>Above 0, to 1 (all tokens); default 1.</value>
    public double TopEntropyFraction { get; set; } = 1;

    /// <summary>
    /// Leaves completions with a negative advantage out of the loss once the policy has moved away from them by more than this, nats per
    /// token. Acts from the second update of a round on. DeepSeek-V3.2, arXiv:2512.02556.
    /// </summary>
    /// <value>0 or more, or null for never; default null.</value>
    public double? OffPolicyThreshold { get; set; }

    /// <summary>
    /// Weighs each token by π_old/π_sampler up to this cap, for a sampler that is another engine (other kernels, quantized weights) and
    /// records its log-probs. The built-in sampler needs none: it is the policy.
    /// </summary>
    /// <value>1 or more (2 is usual), or null for none; default null.</value>
    public double? SamplerCorrectionCap { get; set; }

    /// <summary>What happens to a token above <see cref="SamplerCorrectionCap"/>.</summary>
    /// <value>Default <see cref="SamplerCorrectionMode.Truncate"/>.</value>
    public SamplerCorrectionMode SamplerCorrectionMode { get; set; } = SamplerCorrectionMode.Truncate;

    /// <summary>Leaves completions cut at the length limit out of the loss; their rewards still count in the group's mean.</summary>
    /// <value>Default false.</value>
    /// <remarks>DAPO, arXiv:2503.14476, section 3.4 (overlong filtering). The denominators count the remaining completions.</remarks>
    public bool MaskTruncatedCompletions { get; set; }

    /// <summary>Optimizer steps per rollout, μ (num_iterations).</summary>
    /// <value>1 to 64; default 1.</value>
    public int UpdatesPerRollout { get; set; } = 1;

    /// <summary>Sequences per forward and backward pass. Memory and speed only: loss and gradient do not depend on it.</summary>
    /// <value>1 to 4096; default 8.</value>
    public int MicroBatchSize { get; set; } = 8;

    /// <summary>
    /// Tokens per forward and backward pass, at most, padding included: the bound that memory follows when lengths vary.
    /// <see cref="MicroBatchSize"/> holds besides. A sequence that alone is longer is a micro-batch of its own.
    /// </summary>
    /// <value>1 or more, or null for no limit; default null.</value>
    public int? MaxTokensPerMicroBatch { get; set; }

    /// <summary>
    /// Computes a prompt once for all completions of its group in a micro-batch, in the update and in the passes without gradient; for a
    /// policy that can (<see cref="ISharedPromptPolicy"/>). Speed and memory only: loss and gradient are the same up to rounding.
    /// </summary>
    /// <value>Default true.</value>
    public bool SharePrompts { get; set; } = true;

    /// <summary>Peak learning rate.</summary>
    /// <value>0 to 1; default 1e-6.</value>
    public double LearningRate { get; set; } = 1e-6;

    /// <summary>Course of the learning rate after the warm-up.</summary>
    /// <value>Default <see cref="LearningRateSchedule.Constant"/>.</value>
    public LearningRateSchedule Schedule { get; set; } = LearningRateSchedule.Constant;

    /// <summary>Optimizer steps of linear warm-up; the first of them has rate 0.</summary>
    /// <value>0 or more; default 0.</value>
    public long WarmupSteps { get; set; }

    /// <summary>Optimizer steps after which a linear or cosine schedule has reached its floor.</summary>
    /// <value>Above <see cref="WarmupSteps"/> for those schedules; default 0 (constant needs none).</value>
    public long ScheduleSteps { get; set; }

    /// <summary>Lowest learning rate of a schedule, as a fraction of the peak.</summary>
    /// <value>0 to 1; default 0.</value>
    public double ScheduleFloor { get; set; }

    /// <summary>β₁ of AdamW.</summary>
    /// <value>0 to 0.9999999; default 0.9.</value>
    public double AdamBeta1 { get; set; } = 0.9;

    /// <summary>β₂ of AdamW.</summary>
    /// <value>0 to 0.9999999; default 0.999.</value>
    public double AdamBeta2 { get; set; } = 0.999;

    /// <summary>Added to the square root of AdamW's second moment.</summary>
    /// <value>1.2e-38, the smallest number that float32 holds in full, to 1; default 1e-8.</value>
    public double AdamEpsilon { get; set; } = 1e-8;

    /// <summary>
    /// Where AdamW's moments are kept and in how many bits; in float32 they are half of what weights, gradients and moments take. Moments
    /// of a checkpoint that has them otherwise are converted.
    /// </summary>
    /// <value>Default <see cref="OptimizerMoments.Float32"/>.</value>
    public OptimizerMoments OptimizerMoments { get; set; } = OptimizerMoments.Float32;

    /// <summary>Decoupled weight decay of matrices; biases and norms are not decayed.</summary>
    /// <value>0 to 1; default 0.</value>
    public double WeightDecay { get; set; }

    /// <summary>Longest gradient over all parameters, L2; a longer one is scaled down. Null: no clipping.</summary>
    /// <value>1e-19 or more, or null; default 1.</value>
    public double? MaxGradientNorm { get; set; } = 1.0;

    /// <summary>
    /// Skips an update whose gradient norm exceeds this many times the median of the last 32 (from the 17th update on): one bad batch
    /// must not undo a run. Weights and moments stay, the report gives the reason.
    /// </summary>
    /// <value>Above 1, or null to apply every finite gradient; default 20.</value>
    public double? GradientSpikeFactor { get; set; } = 20;

    /// <summary>Seed of prompt order and sampling.</summary>
    /// <value>Any; default 42.</value>
    public ulong Seed { get; set; } = 42;

    /// <summary>The loss as these options describe it.</summary>
    internal LossSettings Loss => new()
    {
        Objective = Objective,
        Reduction = Reduction,
        KlCoefficient = HasKlInLoss ? KlCoefficient : 0,
        KlEstimator = KlEstimator,
        EntropyCoefficient = EntropyCoefficient,
        OffPolicyThreshold = OffPolicyThreshold,
        SamplerCorrectionCap = SamplerCorrectionCap,
        SamplerCorrectionMode = SamplerCorrectionMode,
    };

    /// <summary>Whether the update needs the entropy of each token.</summary>
    internal bool NeedsEntropies => EntropyCoefficient != 0 || TopEntropyFraction < 1;

    /// <summary>Whether the loss has a KL term.</summary>
    internal bool HasKlInLoss => KlCoefficient != 0 && KlEstimator != KlEstimator.K1InReward;

    /// <summary>Whether the reward has one.</summary>
    internal bool HasKlInReward => KlCoefficient != 0 && KlEstimator == KlEstimator.K1InReward;

    /// <summary>Whether a completion without advantage has a gradient all the same.</summary>
    internal bool TrainsWithoutAdvantage => HasKlInLoss || EntropyCoefficient != 0;

    /// <summary>Lists everything that is out of range; empty when the options can be used.</summary>
    public IReadOnlyList<string> Validate() => GrpoOptionsValidator.Validate(this);
}
