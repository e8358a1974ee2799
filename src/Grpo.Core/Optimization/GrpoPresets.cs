using Grpo.Losses;
using Grpo.Optimization;

namespace Grpo;

/// <summary>Published settings by name. Each returns fresh options that can be changed further.</summary>
public static class GrpoPresets
{
    /// <summary>The names that <see cref="Get"/> knows.</summary>
    public static IReadOnlyList<string> Names { get; } = ["default", "grpo", "dapo", "dr-grpo", "gspo", "cispo", "sapo", "rloo",
        "reinforce++", "thelmbook"];

    /// <summary>The options of a preset.</summary>
    /// <param name="name">One of <see cref="Names"/>, in any case.</param>
    /// <exception cref="ArgumentException">There is no preset of that name.</exception>
    public static GrpoOptions Get(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return name.ToLowerInvariant() switch
        {
            "default" => new GrpoOptions(),
            "grpo" => GrpoPaper(),
            "dapo" => Dapo(),
            "dr-grpo" => DrGrpo(),
            "gspo" => Gspo(),
            "cispo" => Cispo(),
            "sapo" => Sapo(),
            "rloo" => Rloo(),
            "reinforce++" => ReinforcePlusPlus(),
            "thelmbook" => TheLmBook(),
            _ => throw new ArgumentException($"There is no preset '{name}'; the presets are {string.Join(", ", Names)}.", nameof(name)),
        };
    }

    /// <summary>
    /// DeepSeekMath, arXiv:2402.03300: sequence mean, k3 with β = 0.04, ε = 0.2, G = 64 in the paper (here the default 8), lr 1e-6.
    /// </summary>
    public static GrpoOptions GrpoPaper() => new()
    {
        Reduction = LossReduction.SequenceMean,
        KlCoefficient = 0.04,
    };

    /// <summary>
    /// DAPO, arXiv:2503.14476: token mean, clip-higher (0.2, 0.28), dynamic sampling in up to 10 rounds, no KL, G = 16, weight decay 0.1,
    /// 20 steps of warm-up.
    /// </summary>
    /// <remarks>The paper's overlong penalty is a reward: add LengthPenaltyReward to yours.</remarks>
    public static GrpoOptions Dapo() => new()
    {
        Reduction = LossReduction.TokenMean,
        Objective = new ClippedObjective { High = 0.28 },
        MaxSamplingRounds = 10,
        GroupSize = 16,
        WeightDecay = 0.1,
        WarmupSteps = 20,
    };

    /// <summary>Dr. GRPO, arXiv:2503.20783: no division by the standard deviation, none by the length, no KL.</summary>
    public static GrpoOptions DrGrpo() => new()
    {
        Advantage = new MeanCenteredAdvantage(),
        Reduction = LossReduction.FixedLength,
    };

    /// <summary>GSPO, arXiv:2507.18071: one ratio per completion, clipped to (3e-4, 4e-4), sequence mean, no KL.</summary>
    /// <remarks>The paper runs four updates per rollout; on-policy the ratio is 1 and the clip never acts.</remarks>
    public static GrpoOptions Gspo() => new()
    {
        Objective = new GspoObjective(),
        Reduction = LossReduction.SequenceMean,
        UpdatesPerRollout = 4,
    };

    /// <summary>CISPO, MiniMax-M1, arXiv:2506.13585: truncated importance weights in place of the clip, token mean, no KL.</summary>
    public static GrpoOptions Cispo() => new()
    {
        Objective = new CispoObjective(),
        Reduction = LossReduction.TokenMean,
    };

    /// <summary>SAPO, arXiv:2511.20347: a soft gate in place of the clip, sequence mean, no KL.</summary>
    public static GrpoOptions Sapo() => new()
    {
        Objective = new SapoObjective(),
        Reduction = LossReduction.SequenceMean,
    };

    /// <summary>
    /// RLOO, arXiv:2402.14740: each reward against the mean of the others, REINFORCE without clipping on the completion as one action (its
    /// tokens are summed), KL in the reward with β = 0.05.
    /// </summary>
    public static GrpoOptions Rloo() => new()
    {
        Advantage = new LeaveOneOutAdvantage(),
        Objective = new ReinforceObjective(),
        Reduction = LossReduction.SequenceSum,
        KlCoefficient = 0.05,
        KlEstimator = KlEstimator.K1InReward,
    };

    /// <summary>
    /// REINFORCE++ with baseline, arXiv:2501.03262: group mean subtracted, whitened over the batch, KL of k2 with β = 1e-3.
    /// </summary>
    public static GrpoOptions ReinforcePlusPlus() => new()
    {
        Advantage = new ReinforcePlusPlusAdvantage(),
        Reduction = LossReduction.TokenMean,
        KlCoefficient = 1e-3,
        KlEstimator = KlEstimator.K2,
    };

    /// <summary>The theLMbook tutorial: G = 12, 7 prompts, β = 0.04, ε = 0.1, lr 5e-6, gradient norm 0.1, 400 tokens.</summary>
    public static GrpoOptions TheLmBook() => new()
    {
        Reduction = LossReduction.SequenceMean,
        GroupSize = 12,
        PromptsPerStep = 7,
        KlCoefficient = 0.04,
        Objective = new ClippedObjective { Low = 0.1, High = 0.1 },
        LearningRate = 5e-6,
        MaxGradientNorm = 0.1,
        Sampling = new SamplingOptions { MaxCompletionTokens = 400 },
    };
}
