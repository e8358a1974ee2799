using Grpo.Losses;

namespace Grpo;

/// <summary>The settings of published GRPO variants. Each method returns new options, which the caller may change.</summary>
public static class GrpoPresets
{
    /// <summary>The names of all presets, as <see cref="Get"/> accepts them.</summary>
    public static IReadOnlyList<string> Names { get; } = ["default", "grpo", "dapo", "dr-grpo", "gspo", "cispo", "sapo", "rloo",
        "reinforce++", "thelmbook"];

    /// <summary>Returns the options of the preset with the given name.</summary>
    /// <param name="name">A name from <see cref="Names"/>, in upper or lower case.</param>
    /// <returns>New options, which the caller may change.</returns>
    /// <exception cref="ArgumentException">No preset has this name.</exception>
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
    /// Creates the settings of DeepSeekMath, which introduced GRPO: sequence mean, k3 with β = 0.04, ε = 0.2, learning rate 1e-6.
    /// arXiv:2402.03300, which uses G = 64 (here the default, 8).
    /// </summary>
    public static GrpoOptions GrpoPaper() => new()
    {
        Reduction = LossReduction.SequenceMean,
        KlCoefficient = 0.04,
    };

    /// <summary>
    /// Creates the settings of DAPO: token mean, clip-higher (0.2, 0.28), dynamic sampling in up to 10 rounds, no KL term, G = 16,
    /// weight decay 0.1, 20 steps of warm-up. arXiv:2503.14476.
    /// </summary>
    /// <remarks>The paper's penalty on overlong answers is a reward: add LengthPenaltyReward to your reward function.</remarks>
    public static GrpoOptions Dapo() => new()
    {
        Reduction = LossReduction.TokenMean,
        Objective = new ClippedObjective { High = 0.28 },
        MaxSamplingRounds = 10,
        GroupSize = 16,
        WeightDecay = 0.1,
        WarmupSteps = 20,
    };

    /// <summary>
    /// Creates the settings of Dr. GRPO: no division by the standard deviation or by the length, no KL term. arXiv:2503.20783.
    /// </summary>
    public static GrpoOptions DrGrpo() => new()
    {
        Advantage = new MeanCenteredAdvantage(),
        Reduction = LossReduction.FixedLength,
    };

    /// <summary>
    /// Creates the settings of GSPO: one ratio per completion, clip range (3e-4, 4e-4), sequence mean, no KL term. arXiv:2507.18071.
    /// </summary>
    /// <remarks>The paper runs four updates per rollout. With one update the ratio is 1 and nothing is ever clipped.</remarks>
    public static GrpoOptions Gspo() => new()
    {
        Objective = new GspoObjective(),
        Reduction = LossReduction.SequenceMean,
        UpdatesPerRollout = 4,
    };

    /// <summary>
    /// Creates the settings of CISPO, from MiniMax-M1: truncated importance weights instead of clipping, token mean, no KL term.
    /// arXiv:2506.13585.
    /// </summary>
    public static GrpoOptions Cispo() => new()
    {
        Objective = new CispoObjective(),
        Reduction = LossReduction.TokenMean,
    };

    /// <summary>Creates the settings of SAPO: a soft gate instead of clipping, sequence mean, no KL term. arXiv:2511.20347.</summary>
    public static GrpoOptions Sapo() => new()
    {
        Objective = new SapoObjective(),
        Reduction = LossReduction.SequenceMean,
    };

    /// <summary>
    /// Creates the settings of RLOO: each reward minus the mean of the others in its group, REINFORCE without clipping, KL in the reward
    /// with β = 0.05. A completion is one action, so the losses of its tokens are summed. arXiv:2402.14740.
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
    /// Creates the settings of REINFORCE++ with baseline: the group's mean is subtracted, advantages are whitened over the batch, k2 with
    /// β = 1e-3. arXiv:2501.03262.
    /// </summary>
    public static GrpoOptions ReinforcePlusPlus() => new()
    {
        Advantage = new ReinforcePlusPlusAdvantage(),
        Reduction = LossReduction.TokenMean,
        KlCoefficient = 1e-3,
        KlEstimator = KlEstimator.K2,
    };

    /// <summary>
    /// Creates the settings of theLMbook's GRPO tutorial: G = 12, 7 prompts per step, β = 0.04, ε = 0.1, learning rate 5e-6, gradient
    /// norm at most 0.1, completions of at most 400 tokens.
    /// </summary>
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
