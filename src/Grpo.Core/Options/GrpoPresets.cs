using Grpo.Losses;

namespace Grpo;

/// <summary>Published settings by name. Each returns fresh options that can be changed further.</summary>
public static class GrpoPresets
{
    /// <summary>The names that <see cref="Get"/> knows.</summary>
    public static IReadOnlyList<string> Names { get; } = ["default", "grpo", "dapo", "dr-grpo", "thelmbook"];

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
            "thelmbook" => TheLmBook(),
            _ => throw new ArgumentException($"There is no preset '{name}'; the presets are {string.Join(", ", Names)}.", nameof(name)),
        };
    }

    /// <summary>DeepSeekMath, arXiv:2402.03300: sequence mean, k3 with β = 0.04, ε = 0.2, G = 64 in the paper (here the default 8), lr 1e-6.</summary>
    public static GrpoOptions GrpoPaper() => new()
    {
        Reduction = LossReduction.SequenceMean,
        KlCoefficient = 0.04,
    };

    /// <summary>DAPO, arXiv:2503.14476: token mean, clip-higher (0.2, 0.28), no KL, G = 16, weight decay 0.1, 20 steps of warm-up.</summary>
    /// <remarks>The paper's overlong penalty is a reward: add LengthPenaltyReward to yours.</remarks>
    public static GrpoOptions Dapo() => new()
    {
        Reduction = LossReduction.TokenMean,
        ClipRangeHigh = 0.28,
        GroupSize = 16,
        WeightDecay = 0.1,
        WarmupSteps = 20,
    };

    /// <summary>Dr. GRPO, arXiv:2503.20783: no division by the standard deviation, none by the length, no KL.</summary>
    public static GrpoOptions DrGrpo() => new()
    {
        Advantage = AdvantageEstimator.MeanCentered,
        Reduction = LossReduction.FixedLength,
    };

    /// <summary>The theLMbook tutorial: G = 12, 7 prompts, β = 0.04, ε = 0.1, lr 5e-6, gradient norm 0.1, 400 tokens.</summary>
    public static GrpoOptions TheLmBook() => new()
    {
        Reduction = LossReduction.SequenceMean,
        GroupSize = 12,
        PromptsPerStep = 7,
        KlCoefficient = 0.04,
        ClipRangeLow = 0.1,
        ClipRangeHigh = 0.1,
        LearningRate = 5e-6,
        MaxGradientNorm = 0.1,
        Sampling = new SamplingOptions { MaxCompletionTokens = 400 },
    };
}
