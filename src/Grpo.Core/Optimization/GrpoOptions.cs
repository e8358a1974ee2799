using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Optimization;
using Grpo.Planning;

namespace Grpo;

/// <summary>
/// The options of a <see cref="GrpoOptimizer"/>. By default they combine GRPO's advantages with DAPO's token mean and have no KL term.
/// </summary>
/// <remarks>
/// <see cref="Validate"/> lists every value that is out of range. The optimizer's constructor calls it.
/// A number that float32 would round to 0 or to infinity is out of range too.
/// </remarks>
public sealed record GrpoOptions : IReflectedOptions
{
    /// <summary>The number of completions per prompt, G (num_generations in other libraries).</summary>
    /// <value>2 to 1024; default 8.</value>
    public int GroupSize { get; set; } = 8;

    /// <summary>The number of prompts per step. A step samples PromptsPerStep · GroupSize completions.</summary>
    /// <value>1 to 65536; default 8.</value>
    public int PromptsPerStep { get; set; } = 8;

    /// <summary>
    /// The largest number of rollout rounds per step. In each further round, groups that teach nothing are replaced by groups of other
    /// prompts (DAPO's dynamic sampling).
    /// </summary>
    /// <value>1 (no replacement) to 64; default 1.</value>
    public int MaxSamplingRounds { get; set; } = 1;

    /// <summary>The options for sampling completions: temperature, length limits and concurrency.</summary>
    public SamplingOptions Sampling { get; set; } = new();

    /// <summary>The options for calling the reward function: errors, timeout and concurrency.</summary>
    public RewardOptions Rewards { get; set; } = new();

    /// <summary>The method that turns the rewards of a step into advantages.</summary>
    /// <value>
    /// Default <see cref="GroupNormalizedAdvantage"/>. In configuration a text such as "mean-centered" or "group-normalized(Epsilon=1e-6)".
    /// </value>
    public AdvantageFunction Advantage { get; set; } = new GroupNormalizedAdvantage();

    /// <summary>The objective, which computes the loss of each token and has its own clip range.</summary>
    /// <value>Default <see cref="ClippedObjective"/> with ε = 0.2. In configuration a text such as "clipped(Low=0.2, High=0.28)".</value>
    public PolicyObjective Objective { get; set; } = new ClippedObjective();

    /// <summary>
    /// The reduction of the losses of all tokens to one number. An objective refuses a reduction that contradicts its paper.
    /// </summary>
    /// <value>Default <see cref="LossReduction.TokenMean"/>.</value>
    public LossReduction Reduction { get; set; } = LossReduction.TokenMean;

    /// <summary>The weight β of the KL term. With 0 no reference model is needed.</summary>
    /// <value>0 to 10; default 0.</value>
    public double KlCoefficient { get; set; }

    /// <summary>
    /// The KL divergence, in nats per token, that an adaptive β aims at (<see cref="AdaptiveKl"/>). β then starts at
    /// <see cref="KlCoefficient"/>.
    /// </summary>
    /// <value>Above 0, or null for a fixed β; default null.</value>
    public double? KlTarget { get; set; }

    /// <summary>
    /// The estimator of the KL term. It also decides if the term is part of the loss or of the reward. It is read only
    /// when <see cref="KlCoefficient"/> is above 0.
    /// </summary>
    /// <value>Default <see cref="KlEstimator.K3"/>.</value>
    public KlEstimator KlEstimator { get; set; } = KlEstimator.K3;

    /// <summary>
    /// The number of steps between two moves of the reference model toward the policy (TR-DPO, arXiv:2404.09656, which uses 512). The
    /// checkpoint then includes the reference model.
    /// </summary>
    /// <value>1 or more, or null for a reference that never moves; default null.</value>
    public long? ReferenceSyncEvery { get; set; }

    /// <summary>
    /// The mixing factor α of a move of the reference model: π_ref ← α·π + (1 − α)·π_ref, in the weights. 1 replaces the reference.
    /// </summary>
    /// <value>Above 0, to 1; default 0.6, as in the paper (arXiv:2404.09656).</value>
    public double ReferenceSyncMix { get; set; } = 0.6;

    /// <summary>
    /// The weight of the entropy bonus, which keeps the policy from becoming certain too early. It needs a policy that
    /// computes entropies (<see cref="IEntropyPolicy"/>).
    /// </summary>
    /// <value>0 to 1; default 0. Above 0, completions without an advantage are trained on too.</value>
    public double EntropyCoefficient { get; set; }

    /// <summary>
    /// The fraction of the step's tokens to train on: those at which the policy is least certain. Below 1 it costs one more forward pass
    /// per update and needs a policy that computes entropies (<see cref="IEntropyPolicy"/>). arXiv:2506.01939, which uses 0.2.
    /// </summary>
    /// <value>Above 0, to 1 (all tokens); default 1.</value>
    public double TopEntropyFraction { get; set; } = 1;

    /// <summary>
    /// The distance from the policy that sampled, in nats per token, above which a completion with a negative advantage is left out of
    /// the loss. It acts from the second update of a rollout on. DeepSeek-V3.2, arXiv:2512.02556.
    /// </summary>
    /// <value>0 or more, or null to keep all completions; default null.</value>
    public double? OffPolicyThreshold { get; set; }

    /// <summary>
    /// The largest weight π_old/π_sampler of a token. Set it for a sampler that is another engine (other kernels, quantized weights) and
    /// records its log-probs. The built-in sampler needs no correction, because it samples from the policy itself.
    /// </summary>
    /// <value>1 or more (2 is usual), or null for no correction; default null.</value>
    public double? SamplerCorrectionCap { get; set; }

    /// <summary>The treatment of a token whose weight is above <see cref="SamplerCorrectionCap"/>.</summary>
    /// <value>Default <see cref="SamplerCorrectionMode.Truncate"/>.</value>
    public SamplerCorrectionMode SamplerCorrectionMode { get; set; } = SamplerCorrectionMode.Truncate;

    /// <summary>
    /// True if completions that were cut at the length limit are left out of the loss. Their rewards still count in the group's mean.
    /// </summary>
    /// <value>Default false.</value>
    /// <remarks>DAPO, arXiv:2503.14476, section 3.4 (overlong filtering). The denominators count the remaining completions.</remarks>
    public bool MaskTruncatedCompletions { get; set; }

    /// <summary>The number of optimizer steps per rollout, μ (num_iterations in other libraries).</summary>
    /// <value>1 to 64; default 1.</value>
    public int UpdatesPerRollout { get; set; } = 1;

    /// <summary>
    /// The largest number of sequences per forward and backward pass. It affects memory and speed only: loss and gradient do not
    /// depend on it.
    /// </summary>
    /// <value>1 to 4096; default 8.</value>
    public int MicroBatchSize { get; set; } = 8;

    /// <summary>
    /// The largest number of tokens per forward and backward pass, including padding. It bounds memory better than a number of sequences
    /// when lengths vary. <see cref="MicroBatchSize"/> still applies. A longer sequence forms a micro-batch of its own.
    /// </summary>
    /// <value>1 or more, or null for no limit; default null.</value>
    public int? MaxTokensPerMicroBatch { get; set; }

    /// <summary>
    /// True if a prompt is computed once for all completions of its group in a micro-batch. It needs a policy with this ability
    /// (<see cref="ISharedPromptPolicy"/>) and has no effect on others. It saves time and memory; loss and gradient stay equal up to
    /// rounding.
    /// </summary>
    /// <value>Default true.</value>
    public bool SharePrompts { get; set; } = true;

    /// <summary>
    /// The peak learning rate, which is reached after the warm-up. Null means the default for what the policy trains, which
    /// <see cref="ChooseLearningRate"/> returns. <see cref="GrpoOptimizer.Options"/> holds the rate of the run.
    /// </summary>
    /// <value>0 to 1, or null for 1e-6, and 1e-5 if only an adapter is trained; default null.</value>
    public double? LearningRate { get; set; }

    /// <summary>The shape of the learning rate curve after the warm-up.</summary>
    /// <value>Default <see cref="LearningRateSchedule.Constant"/>.</value>
    public LearningRateSchedule Schedule { get; set; } = LearningRateSchedule.Constant;

    /// <summary>The number of optimizer steps of linear warm-up. The first of them has learning rate 0.</summary>
    /// <value>0 or more; default 0.</value>
    public long WarmupSteps { get; set; }

    /// <summary>The number of optimizer steps after which a linear or cosine schedule reaches its floor, including the warm-up.</summary>
    /// <value>Above <see cref="WarmupSteps"/> for those schedules; default 0 (a constant schedule needs none).</value>
    public long ScheduleSteps { get; set; }

    /// <summary>The lowest learning rate of a linear or cosine schedule, as a fraction of the peak.</summary>
    /// <value>0 to 1; default 0.</value>
    public double ScheduleFloor { get; set; }

    /// <summary>The constant β₁ of AdamW: the decay rate of the first moment.</summary>
    /// <value>0 to 0.9999999; default 0.9.</value>
    public double AdamBeta1 { get; set; } = 0.9;

    /// <summary>The constant β₂ of AdamW: the decay rate of the second moment.</summary>
    /// <value>0 to 0.9999999; default 0.999.</value>
    public double AdamBeta2 { get; set; } = 0.999;

    /// <summary>The constant ε of AdamW, which is added to the square root of the second moment.</summary>
    /// <value>1.2e-38, the smallest number that float32 holds in full, to 1; default 1e-8.</value>
    public double AdamEpsilon { get; set; } = 1e-8;

    /// <summary>
    /// The place and the precision in which AdamW keeps its moments. In float32 the moments are half of what weights, gradients and
    /// moments take together. Moments of a checkpoint in another precision are converted.
    /// </summary>
    /// <value>Default <see cref="OptimizerMoments.Float32"/>.</value>
    public OptimizerMoments OptimizerMoments { get; set; } = OptimizerMoments.Float32;

    /// <summary>The decoupled weight decay of matrices. Biases and norms do not decay.</summary>
    /// <value>0 to 1; default 0.</value>
    public double WeightDecay { get; set; }

    /// <summary>The largest L2 norm of the gradient over all parameters. A gradient above it is scaled down to it.</summary>
    /// <value>1e-19 or more, or null for no clipping; default 1.</value>
    public double? MaxGradientNorm { get; set; } = 1.0;

    /// <summary>
    /// The largest ratio of a gradient norm to the median of the last 32 norms. An update above it is skipped, so that one bad batch does
    /// not spoil a run. It acts from the 17th update on. A skipped update changes no weight or moment and is reported with its reason.
    /// </summary>
    /// <value>Above 1, or null to apply every finite gradient; default 20.</value>
    public double? GradientSpikeFactor { get; set; } = 20;

    /// <summary>The seed of the prompt order and of sampling.</summary>
    /// <value>Any; default 42.</value>
    public ulong Seed { get; set; } = 42;

    /// <summary>The default learning rate of full training.</summary>
    internal const double FullTrainingRate = 1e-6;

    /// <summary>The default learning rate if only an adapter is trained.</summary>
    internal const double AdapterRate = 1e-5;

    /// <summary>The settings of the loss as these options describe it.</summary>
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

    /// <summary>True if the update needs the entropy of each token.</summary>
    internal bool NeedsEntropies => EntropyCoefficient != 0 || TopEntropyFraction < 1;

    /// <summary>True if the loss has a KL term.</summary>
    internal bool HasKlInLoss => KlCoefficient != 0 && KlEstimator != KlEstimator.K1InReward;

    /// <summary>True if the reward has a KL term.</summary>
    internal bool HasKlInReward => KlCoefficient != 0 && KlEstimator == KlEstimator.K1InReward;

    /// <summary>True if a completion without an advantage still has a gradient.</summary>
    internal bool TrainsWithoutAdvantage => HasKlInLoss || EntropyCoefficient != 0;

    /// <summary>Chooses the peak learning rate: <see cref="LearningRate"/>, or else the default for what is trained.</summary>
    /// <param name="trainsAdapter">True if only an adapter is trained (<see cref="IAdapterPolicy.TrainsAdapter"/>).</param>
    /// <returns>The rate and the reason for it.</returns>
    public LearningRateChoice ChooseLearningRate(bool trainsAdapter) => new(LearningRate, FullTrainingRate, AdapterRate, trainsAdapter);

    /// <summary>Lists every option that is out of range.</summary>
    /// <returns>One sentence per problem; empty if the options can be used.</returns>
    public IReadOnlyList<string> Validate() => GrpoOptionsValidator.Validate(this);
}
