using Grpo.Losses;

namespace Grpo;

/// <summary>Options of a <see cref="GrpoOptimizer"/>. The defaults: GRPO's advantages, DAPO's token mean, no KL term.</summary>
/// <remarks><see cref="Validate"/> lists every value out of range; the optimizer's constructor calls it.</remarks>
public sealed record GrpoOptions
{
    /// <summary>Completions per prompt, G (num_generations).</summary>
    /// <value>2 to 1024; default 8.</value>
    public int GroupSize { get; set; } = 8;

    /// <summary>Prompts per step; a step samples PromptsPerStep · GroupSize completions.</summary>
    /// <value>1 to 65536; default 8.</value>
    public int PromptsPerStep { get; set; } = 8;

    /// <summary>How completions are sampled.</summary>
    public SamplingOptions Sampling { get; set; } = new();

    /// <summary>How failing rewards are treated.</summary>
    public RewardOptions Rewards { get; set; } = new();

    /// <summary>How a group's rewards become advantages.</summary>
    /// <value>Default <see cref="AdvantageEstimator.GroupNormalized"/>.</value>
    public AdvantageEstimator Advantage { get; set; } = AdvantageEstimator.GroupNormalized;

    /// <summary>How per-token losses become a scalar.</summary>
    /// <value>Default <see cref="LossReduction.TokenMean"/>.</value>
    public LossReduction Reduction { get; set; } = LossReduction.TokenMean;

    /// <summary>ε_low of the probability ratio.</summary>
    /// <value>Above 0, below 1; default 0.2.</value>
    public double ClipRangeLow { get; set; } = 0.2;

    /// <summary>ε_high of the probability ratio.</summary>
    /// <value>Above 0, to 100; default 0.2.</value>
    public double ClipRangeHigh { get; set; } = 0.2;

    /// <summary>δ, the cap of the ratio for negative advantages (two-sided clipping); null for none.</summary>
    /// <value>Above 1 + <see cref="ClipRangeHigh"/>, or null; default null.</value>
    public double? ClipRangeCap { get; set; }

    /// <summary>Weight β of the KL term. 0 switches the reference model off.</summary>
    /// <value>0 to 10; default 0.</value>
    public double KlCoefficient { get; set; }

    /// <summary>Optimizer steps per rollout, μ (num_iterations).</summary>
    /// <value>1 to 64; default 1.</value>
    public int UpdatesPerRollout { get; set; } = 1;

    /// <summary>Sequences per forward and backward pass. Memory and speed only: loss and gradient do not depend on it.</summary>
    /// <value>1 to 4096; default 8.</value>
    public int MicroBatchSize { get; set; } = 8;

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
    /// <value>0 to below 1; default 0.9.</value>
    public double AdamBeta1 { get; set; } = 0.9;

    /// <summary>β₂ of AdamW.</summary>
    /// <value>0 to below 1; default 0.999.</value>
    public double AdamBeta2 { get; set; } = 0.999;

    /// <summary>Added to the square root of AdamW's second moment.</summary>
    /// <value>Above 0, to 1; default 1e-8.</value>
    public double AdamEpsilon { get; set; } = 1e-8;

    /// <summary>Decoupled weight decay of matrices; biases and norms are not decayed.</summary>
    /// <value>0 to 1; default 0.</value>
    public double WeightDecay { get; set; }

    /// <summary>Longest gradient over all parameters, L2; a longer one is scaled down. Null: no clipping.</summary>
    /// <value>Above 0, or null; default 1.</value>
    public double? MaxGradientNorm { get; set; } = 1.0;

    /// <summary>Seed of prompt order and sampling.</summary>
    /// <value>Any; default 42.</value>
    public ulong Seed { get; set; } = 42;

    /// <summary>The bounds on the probability ratio as the loss takes them.</summary>
    internal ClipRange ClipRange => new(ClipRangeLow, ClipRangeHigh, ClipRangeCap);

    /// <summary>Lists everything that is out of range; empty when the options can be used.</summary>
    public IReadOnlyList<string> Validate() => GrpoOptionsValidator.Validate(this);
}
