using Grpo.Core.Tests.Golden;
using Grpo.Losses;
using Grpo.Tensors;
using TorchSharp;

namespace Grpo.Core.Tests.Losses;

/// <summary>The example of B = 2, C = 4 that was worked by hand in double precision.</summary>
public sealed class GrpoLossExampleTests
{
    private static LossCase Example => new(
        2, 4,
        [-0.5f, -1.2f, -0.3f, -2.0f, -0.9f, -0.1f, -1.5f, 0],
        [-0.7f, -1.0f, -0.3f, -1.2f, -0.6f, -0.4f, -1.6f, 0],
        [-0.6f, -1.1f, -0.5f, -1.8f, -1.0f, -0.2f, -1.2f, 0],
        [1, -0.5f],
        [1, 1, 1, 1, 1, 1, 1, 0])
    {
        ClipRange = new ClipRange(0.2, 0.28),
        MaxCompletionTokens = 8,
    };

    [Theory]
    [InlineData(LossReduction.SequenceMean, 0, null, -0.164930)]
    [InlineData(LossReduction.TokenMean, 0, null, -0.265993)]
    [InlineData(LossReduction.FixedLength, 0, null, -0.116372)]
    [InlineData(LossReduction.SequenceMean, 0.04, null, -0.164283)]
    [InlineData(LossReduction.TokenMean, 0.04, null, -0.265366)]
    [InlineData(LossReduction.SequenceMean, 0, 1.25, -0.170752)]
    public void Compute_gives_the_worked_loss(LossReduction reduction, double klCoefficient, double? cap, double expected)
    {
        LossOutcome outcome =
            (Example with { Reduction = reduction, KlCoefficient = klCoefficient, ClipRange = new ClipRange(0.2, 0.28, cap) }).Run();
        Near.Equal(expected, outcome.Loss, 1e-6, "loss"); // the worked values have six decimals
    }

    [Fact]
    public void Compute_counts_clipped_tokens()
    {
        LossOutcome outcome = Example.Run();
        Assert.Equal(1f, outcome.Sums[1]); // only exp(−0.3) = 0.74 of the second row lies below 0.8 with A < 0
        Assert.Equal(0f, outcome.Sums[2]); // exp(0.2) = 1.22 stays below 1.28
        Assert.Equal(7f, outcome.Sums[3]);
    }

    [Fact]
    public void Compute_sums_the_kl_estimates_over_real_tokens()
    {
        double expected = new[] { -.1, .1, -.2, .2, -.1, -.1, .3 }.Sum(d => Math.Exp(d) - d - 1);
        Near.Equal(expected, Example.Run().Sums[0], 1e-6, "sum of k3"); // also without β: the reference is there
    }

    [Fact]
    public void Compute_stops_the_gradient_where_the_ratio_left_the_range()
    {
        float[] gradient = Example.Run().Gradient;
        Assert.Equal(0f, gradient[4]);                                  // w = 0.74 < 0.8, A < 0
        Assert.Equal(0f, gradient[7]);                                  // padding
        Near.Equal(-Math.Exp(.2) / 8, gradient[0], 1e-6, "in range");   // −w·A / (4 tokens · 2 rows)
        Near.Equal(-Math.Exp(-.8) / 8, gradient[3], 1e-6, "w = 0.45, A > 0: not clipped");
        Near.Equal(.5 * Math.Exp(.3) / 6, gradient[5], 1e-6, "w = 1.35, A < 0: not clipped without a cap");
    }

    [Fact]
    public void Compute_stops_the_gradient_above_the_cap_when_there_is_one()
    {
        LossOutcome outcome = (Example with { ClipRange = new ClipRange(0.2, 0.28, 1.3) }).Run();
        Assert.Equal(0f, outcome.Gradient[5]); // w = 1.35 > 1.3, A < 0
    }

    [Fact]
    public void Compute_has_a_gradient_but_no_value_when_the_tokens_are_from_this_very_policy()
    {
        LossCase fresh = Example with { Old = null, Advantages = [1, -1], Reduction = LossReduction.SequenceMean };
        LossOutcome outcome = fresh.Run();
        Near.Equal(0, outcome.Loss, 1e-7, "−mean(A)");
        Assert.Equal([-.125f, -.125f, -.125f, -.125f, 1 / 6f, 1 / 6f, 1 / 6f, 0], outcome.Gradient);
    }

    [Fact]
    public void Compute_divides_by_one_when_a_step_has_no_tokens()
    {
        foreach (LossReduction reduction in Enum.GetValues<LossReduction>())
        {
            LossOutcome outcome = (Example with { Mask = new float[8], Reduction = reduction }).Run();
            Assert.Equal(0, outcome.Loss);
            Assert.All(outcome.Gradient, value => Assert.Equal(0f, value));
        }
    }

    [Fact]
    public void Compute_refuses_a_kl_term_without_reference_log_probs()
    {
        var exception = Assert.Throws<InvalidOperationException>(() => (Example with { Reference = null, KlCoefficient = 0.04 }).Run());
        Assert.Equal("The KL coefficient is 0.04 but there are no reference log-probs.", exception.Message);
    }

    [Fact]
    public void Compute_refuses_advantages_of_the_wrong_length()
    {
        // B == C here: [C] advantages would broadcast along the tokens without a word.
        LossCase square = new(2, 2, [0, 0, 0, 0], null, null, [1, 2, 3], [1, 1, 1, 1]);
        var exception = Assert.Throws<ArgumentException>(() => square.Run());
        Assert.StartsWith("Advantages must be [B] = [2] but is [3].", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Compute_keeps_the_kl_term_where_the_off_policy_mask_drops_the_objective()
    {
        // A < 0 and the policy half a nat below the old one: masked at threshold 0. What is left is β·k3, x = −1.0 + 1.2 = 0.2.
        using var scope = TensorScope.BeginNoGrad();
        var inputs = new LossInputs(
            torch.tensor(new[,] { { -1.0f } }), torch.tensor(new[,] { { -0.5f } }), torch.tensor(new[,] { { -1.2f } }),
            torch.tensor(new[] { -1f }), torch.ones(1, 1));
        var settings = new LossSettings { KlCoefficient = 0.5, OffPolicyThreshold = 0 };
        double loss = GrpoLoss.Compute(inputs, settings, new LossDenominators(1, 1, 1)).Loss.item<float>();
        Assert.Equal(0.5 * (Math.Exp(-0.2) + 0.2 - 1), loss, 1e-6);
    }
}
