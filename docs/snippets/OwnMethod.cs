using Grpo.Losses;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Snippets;

/// <summary>Simple Policy Optimization, arXiv:2401.16025: a parabola in place of the clip, with its optimum at w = 1 ± ε.</summary>
public sealed record SimplePolicyObjective : PolicyObjective
{
    public override string Name => "SPO";

    public double Epsilon { get; init; } = 0.2;

    public override bool IsPerToken => true;

    public override Tensor PerToken(ObjectiveInputs inputs)
    {
        using var scope = TensorScope.Begin();
        Tensor ratio = ImportanceRatio.Log(inputs, RatioLevel.Token).exp();                        // [B, C]
        Tensor advantages = inputs.Advantages.unsqueeze(1);                                        // [B, 1]
        Tensor penalty = (ratio - 1).square() * advantages.abs() / (2 * Epsilon);                  // [B, C]
        return scope.Keep(penalty - (ratio * advantages));
    }
}

/// <summary>r − median of the group: one lucky completion does not make the others look bad.</summary>
public sealed record MedianCenteredAdvantage : GroupAdvantageFunction
{
    public override string Name => "median-centered";

    protected override IEnumerable<double> Estimate(GroupScores group)
    {
        double[] sorted = [.. group.Rewards.Order()];
        double median = (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
        return group.Rewards.Select(reward => reward - median);
    }
}

/// <summary>variants.md: choosing a method.</summary>
public static class Methods
{
    public static GrpoOptions Composed()
    {
        var options = new GrpoOptions
        {
            Objective = new ClippedObjective { Low = 0.2, High = 0.28 },
            Advantage = new MeanCenteredAdvantage(),
            Reduction = LossReduction.TokenMean,
            KlCoefficient = 0.001,
            KlEstimator = KlEstimator.K2,
        };
        return options;
    }

    public static GrpoOptions FromPreset()
    {
        GrpoOptions options = GrpoPresets.Gspo();
        options.Reduction = LossReduction.SequenceSum;      // LUSPO
        return options;
    }

    public static GrpoOptions Own()
    {
        var options = new GrpoOptions
        {
            Objective = new SimplePolicyObjective { Epsilon = 0.1 },
            Advantage = new MedianCenteredAdvantage(),
            UpdatesPerRollout = 2,
        };
        return options;
    }

    public static IReadOnlyList<string> Refused()
    {
        var options = new GrpoOptions { Objective = new GspoObjective(), Reduction = LossReduction.TokenMean };
        IReadOnlyList<string> problems = options.Validate();
        return problems;
    }
}
