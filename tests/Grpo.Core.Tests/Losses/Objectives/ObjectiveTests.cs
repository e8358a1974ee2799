using CsCheck;
using Grpo.Core.Tests.Golden;
using Grpo.Losses;

namespace Grpo.Core.Tests.Losses.Objectives;

/// <summary>Each objective on numbers that can be worked out by hand.</summary>
public sealed class ObjectiveTests
{
    // The worked example of two completions: ratios e^.2, e^-.2, 1, e^-.8 with A = 1; e^-.3, e^.3, e^.1 with A = −0.5.
    private static LossCase Example => new(
        2, 4,
        [-0.5f, -1.2f, -0.3f, -2.0f, -0.9f, -0.1f, -1.5f, 0],
        [-0.7f, -1.0f, -0.3f, -1.2f, -0.6f, -0.4f, -1.6f, 0],
        null,
        [1, -0.5f],
        [1, 1, 1, 1, 1, 1, 1, 0]);

    public static TheoryData<PolicyObjective, LossReduction, double> Worked => new()
    {
        { new ClippedObjective { High = 0.28 }, LossReduction.SequenceMean, -0.164930 },
        { new ClippedObjective { High = 0.28 }, LossReduction.TokenMean, -0.265993 },
        // a cap between the clip and the largest ratio
        { new ClippedObjective { High = 0.28, Cap = 1.25 }, LossReduction.SequenceMean, -0.170752 },
        { new SapoObjective(), LossReduction.SequenceMean, -0.445509 },
        // s = e^-0.2 and e^(0.1/3): −0.818731 clips to nothing, A > 0; the other is inside. (−0.818731 + 0.5·1.033895)/2
        { new GspoObjective { Low = 0.2, High = 0.28 }, LossReduction.SequenceMean, -0.150892 },
        { new GspoTokenObjective { Low = 0.2, High = 0.28 }, LossReduction.SequenceMean, -0.150892 },
        // (−4·0.818731 + 3·0.516948)/2
        { new GspoObjective { Low = 0.2, High = 0.28 }, LossReduction.SequenceSum, -0.862041 },
        // the clip at ±0.4 leaves every d but −0.8 (A > 0: kept) as it is, so this is −A·s
        { new GmpoObjective(), LossReduction.SequenceMean, -0.150892 },
        // d ≤ 0.1 where A > 0: (0.1 − 0.2 + 0 − 0.8)/4; d ≥ −0.1 where A < 0: (−0.1 + 0.3 + 0.1)/3. (−e^-0.225 + 0.5·e^0.1)/2
        { new GmpoObjective { Low = 0.1, High = 0.1 }, LossReduction.SequenceMean, (-Math.Exp(-.225) + (.5 * Math.Exp(.1))) / 2 },
        // Σ A·logp: (−(−0.5 − 1.2 − 0.3 − 2) + 0.5·(−0.9 − 0.1 − 1.5))/7
        { new ReinforceObjective(), LossReduction.TokenMean, (4.0 - 1.25) / 7 },
        // min(w, 1.2): 1.2·0.5 + e^-.2·1.2 + 0.3 + e^-.8·2 − 0.5·(e^-.3·0.9 + 1.2·0.1 + e^.1·1.5)
        {
            new CispoObjective { Cap = 1.2 }, LossReduction.TokenMean,
            (.6 + (Math.Exp(-.2) * 1.2) + .3 + (Math.Exp(-.8) * 2) - (.5 * ((Math.Exp(-.3) * .9) + .12 + (Math.Exp(.1) * 1.5)))) / 7
        },
        // clip(w, 0.5, 1.2): e^-.8 = 0.449 rises to 0.5
        {
            new CispoBandObjective { Low = 0.5, High = 0.2 }, LossReduction.TokenMean,
            (.6 + (Math.Exp(-.2) * 1.2) + .3 + (.5 * 2) - (.5 * ((Math.Exp(-.3) * .9) + .12 + (Math.Exp(.1) * 1.5)))) / 7
        },
        // L = −0.8 with (2, 3), L = 0.1 with (3, 2)
        {
            new VespoObjective(), LossReduction.TokenMean,
            ((Math.Exp(3 - 1.6 - (3 * Math.Exp(-.8))) * 4) - (.5 * 2.5 * Math.Exp(2 + .3 - (2 * Math.Exp(.1))))) / 7
        },
    };

    [Theory]
    [MemberData(nameof(Worked))]
    public void PerToken_gives_the_worked_loss(PolicyObjective objective, LossReduction reduction, double expected) =>
        Near.Equal(expected, new ObjectiveCase(Example with { Reduction = reduction }, objective).Run().Loss, 1e-6, objective.Name);

    [Fact]
    public void DualClip_does_not_act_on_positive_advantages()
    {
        var data = new LossCase(1, 2, [MathF.Log(.5f), MathF.Log(4)], [0, 0], null, [1], [1, 1]);
        ObjectiveOutcome expected = new ObjectiveCase(data, new ClippedObjective()).Run();
        ObjectiveOutcome actual = new ObjectiveCase(data, new ClippedObjective { DualClip = 3 }).Run();
        Assert.Equal(expected.Loss, actual.Loss);
        Assert.Equal(expected.Gradient, actual.Gradient);
    }

    [Fact]
    public void DualClip_bounds_the_loss_and_stops_the_gradient_of_a_negative_advantage()
    {
        var data = new LossCase(1, 2, [MathF.Log(5), MathF.Log(2)], [0, 0], null, [-0.5f], [1, 1])
        {
            Reduction = LossReduction.SequenceSum,
        };
        ObjectiveOutcome outcome = new ObjectiveCase(data, new ClippedObjective { DualClip = 3 }).Run();
        Near.Equal(1.5 + 1, outcome.Loss, 1e-6, "3·0.5 instead of 5·0.5, and 2·0.5");
        Assert.Equal(0f, outcome.Gradient[0]);
        Near.Equal(1, outcome.Gradient[1], 1e-6, "w·|A|");
    }

    [Fact]
    public void DualClip_and_Cap_are_the_same_function() =>
        Gen.Select(Gen.Float[-2, 2].Array[6], Gen.Float[-2, 2].Array[2], Gen.Double[1.3, 4]).Sample(
            (differences, advantages, bound) =>
            {
                var data = new LossCase(2, 3, differences, new float[6], null, advantages, [1, 1, 1, 1, 1, 1]);
                ObjectiveOutcome cap = new ObjectiveCase(data, new ClippedObjective { Cap = bound }).Run();
                ObjectiveOutcome dual = new ObjectiveCase(data, new ClippedObjective { DualClip = bound }).Run();
                Near.Equal(cap.Loss, dual.Loss, 1e-6, "loss");
                Near.Equal(cap.Gradient, dual.Gradient, 1e-6, "gradient");
            },
            iter: 200);

    [Fact]
    public void GspoToken_has_the_loss_and_gradient_of_Gspo_with_one_advantage_per_completion() =>
        Gen.Select(Gen.Float[-.5f, .5f].Array[8], Gen.Float[-2, 2].Array[2], Gen.Int[1, 4]).Sample(
            (differences, advantages, length) =>
            {
                float[] mask = [1, 1, 1, 1, .. Enumerable.Range(0, 4).Select(t => t < length ? 1f : 0f)];
                var data = new LossCase(2, 4, differences, new float[8], null, advantages, mask);
                ObjectiveOutcome whole = new ObjectiveCase(data, new GspoObjective { Low = .1, High = .1 }).Run();
                ObjectiveOutcome tokens = new ObjectiveCase(data, new GspoTokenObjective { Low = .1, High = .1 }).Run();
                Near.Equal(whole.Loss, tokens.Loss, 1e-6, "loss");
                Near.Equal(whole.Gradient, tokens.Gradient, 1e-6, "gradient");
                Assert.Equal(whole.Clips, tokens.Clips);
            },
            iter: 200);

    [Fact]
    public void Weights_carry_no_gradient()
    {
        // w = 2 with A = 1: the gradient is −w·A, not −w·A·(1 + logp).
        var data = new LossCase(1, 1, [-1], [-1 - MathF.Log(2)], null, [1], [1]);
        PolicyObjective[] weighted =
            [new CispoObjective(), new CispoBandObjective { High = 4 }, new ReinforceObjective { ImportanceWeighted = true }];
        Assert.All(weighted, objective => Near.Equal(-2, new ObjectiveCase(data, objective).Run().Gradient[0], 1e-6, objective.Name));
    }

    [Fact]
    public void Cispo_keeps_the_gradient_of_a_token_whose_weight_is_truncated()
    {
        var data = new LossCase(1, 1, [-1], [-1 - MathF.Log(4)], null, [1], [1]);
        Near.Equal(-1.5, new ObjectiveCase(data, new CispoObjective { Cap = 1.5 }).Run().Gradient[0], 1e-6, "−cap·A");
        Assert.Equal(0f, new ObjectiveCase(data, new ClippedObjective { High = .5 }).Run().Gradient[0]);
    }

    [Fact]
    public void Sapo_fades_as_the_ratio_leaves_one()
    {
        // −4·σ'(w − 1)·w·A at w = 3: σ(2) = 0.880797
        var data = new LossCase(1, 1, [MathF.Log(3)], [0], null, [1], [1]);
        double gate = 1 / (1 + Math.Exp(-2));
        Near.Equal(-4 * gate * (1 - gate) * 3, new ObjectiveCase(data, new SapoObjective()).Run().Gradient[0], 1e-6, "gradient");
    }

    [Theory]
    [InlineData(-30, -30, -18.420681, 0.1, 3)]  // −20 − 20, then ln 1e-8
    [InlineData(-60, 30, 0, 0.1, 3)]            // −20 + 20
    [InlineData(60, 60, 20, 0.1, 0)]            // 20 + 20, then 20; e^L unbounded would give ∞·0
    public void Vespo_bounds_the_ratio_of_a_token_and_of_the_completion(float first, float second, double logRatio, double k, double lambda)
    {
        var data = new LossCase(1, 2, [-1, -1], [-1 - first, -1 - second], null, [1], [1, 1]);
        ObjectiveOutcome outcome = new ObjectiveCase(data, new VespoObjective { PositiveK = k, PositiveLambda = lambda }).Run();
        Near.Equal(Math.Exp(lambda + (k * logRatio) - (lambda * Math.Exp(logRatio))), outcome.Phi!.Value, 1e-5, "φ"); // e^x in float32
    }

    [Fact]
    public void Gspo_counts_an_empty_completion_as_ratio_one()
    {
        var data = new LossCase(1, 2, [0, 0], [0, 0], null, [1], [0, 0]);
        ObjectiveOutcome outcome = new ObjectiveCase(data, new GspoObjective()).Run();
        Assert.Equal(0, outcome.Loss);
        Assert.Equal([0f, 0f], outcome.Gradient);
    }

    [Fact]
    public void PerToken_refuses_advantages_of_the_wrong_length()
    {
        // B == C here: [C] advantages would broadcast along the tokens without a word.
        LossCase square = new(2, 2, new float[4], null, null, [1, 2, 3], [1, 1, 1, 1]);
        foreach (PolicyObjective objective in ObjectiveList.All)
        {
            var exception = Assert.Throws<ArgumentException>(() => new ObjectiveCase(square, objective).Run());
            Assert.StartsWith("Advantages must be [B] = [2] but is [3].", exception.Message, StringComparison.Ordinal);
        }
    }
}
