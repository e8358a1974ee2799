using CsCheck;
using Grpo.Core.Tests.Golden;
using Grpo.Losses;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Losses.Objectives;

public sealed class KlPenaltyTests
{
    private static readonly float[] LogProbs = [-0.5f, -2, -1];
    private static readonly float[] Old = [-0.7f, -1.5f, -1];
    private static readonly float[] Reference = [-1.5f, -1, -1];

    // x = 1, −1, 0 and w = e^0.2, e^−0.5, 1. Values and gradients in closed form.
    public static TheoryData<KlEstimator, double[], double[]> Worked => new()
    {
        { KlEstimator.K2, [.5, .5, 0], [1, -1, 0] },
        { KlEstimator.K3, [Math.Exp(-1), Math.E - 2, 0], [1 - Math.Exp(-1), 1 - Math.E, 0] },
        {
            KlEstimator.ImportanceCorrectedK3,
            [Math.Exp(.2) * Math.Exp(-1), Math.Exp(-.5) * (Math.E - 2), 0],
            [Math.Exp(.2), -Math.Exp(-.5), 0] // w·(k3 + k3') = w·x
        },
        { KlEstimator.StraightThrough, [Math.Exp(-1), Math.E - 2, 0], [1, -1, 0] },
    };

    [Theory]
    [MemberData(nameof(Worked))]
    public void PerToken_gives_the_worked_values_and_gradients(KlEstimator estimator, double[] values, double[] gradients)
    {
        (float[] actual, float[] gradient) = Run(estimator, LogProbs, Old, Reference);
        for (int i = 0; i < values.Length; i++)
        {
            Near.Equal(values[i], actual[i], 1e-6, $"{estimator} of token {i}");
            Near.Equal(gradients[i], gradient[i], 1e-6, $"gradient of {estimator} at token {i}");
        }
    }

    [Fact]
    public void PerToken_is_never_negative() =>
        Gen.Select(ObjectiveList.AnyKlLoss, Gen.Float[-20, 0].Array[3], Gen.Double[-8, 1].Array[3], Gen.Bool.Array[3]).Sample(
            (estimator, logProbs, sizes, signs) =>
            {
                // Differences of every size down to 1e-8: exp(d) − d − 1 as written would come out negative there.
                float[] reference = [.. logProbs.Select((value, i) => value + (float)((signs[i] ? 1 : -1) * Math.Pow(10, sizes[i])))];
                Assert.All(
                    Run(estimator, logProbs, logProbs, reference).Values, value => Assert.True(value >= 0, $"{estimator}: {value:R}"));
            },
            iter: 2000);

    [Fact]
    public void K3_keeps_its_digits_near_zero()
    {
        // d²/2 + d³/6 at d = 1e-3 (as float); the naive form is off by 10 %.
        double d = 1e-3f;
        (float[] values, _) = Run(KlEstimator.K3, [-1e-3f], [0], [0]);
        Assert.Equal((d * d / 2) + (d * d * d / 6), values[0], 1e-10); // an ulp of 1e-3
    }

    [Fact]
    public void Expected_gradient_is_that_of_the_divergence_which_the_estimator_promises()
    {
        // Three actions with logits z: E over the policy of estimate'·∇logp, against ∇KL by closed form. ∂logp_a/∂z_j = [a = j] − p_j.
        double[] p = [.5, .3, .2], q = [.2, .5, .3];
        double reverseKl = p.Zip(q, (a, b) => a * Math.Log(a / b)).Sum();
        float[] logProbs = [.. p.Select(value => (float)Math.Log(value))], reference = [.. q.Select(value => (float)Math.Log(value))];
        foreach (KlEstimator estimator in ObjectiveList.KlLosses)
        {
            (_, float[] slopes) = Run(estimator, logProbs, logProbs, reference);
            for (int j = 0; j < 3; j++)
            {
                double actual = Enumerable.Range(0, 3).Sum(a => p[a] * slopes[a] * ((a == j ? 1 : 0) - p[j]));
                double reverse = p[j] * (Math.Log(p[j] / q[j]) - reverseKl);
                double forward = p[j] - q[j];
                Near.Equal(estimator == KlEstimator.K3 ? forward : reverse, actual, 1e-6, $"{estimator}, logit {j}");
            }
        }
    }

    [Fact]
    public void K1_would_have_no_expected_gradient_as_a_loss()
    {
        double[] p = [.5, .3, .2];
        for (int j = 0; j < 3; j++)
        {
            Near.Equal(0, Enumerable.Range(0, 3).Sum(a => p[a] * 1 * ((a == j ? 1 : 0) - p[j])), 1e-15, $"logit {j}"); // ∂k1/∂logp = 1
        }

        var refusal = Assert.Throws<ArgumentOutOfRangeException>(() => Run(KlEstimator.K1InReward, LogProbs, Old, Reference));
        Assert.StartsWith("k1 is no loss", refusal.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void PerToken_refuses_an_unknown_estimator() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => Run((KlEstimator)9, LogProbs, Old, Reference));

    private static (float[] Values, float[] Gradient) Run(KlEstimator estimator, float[] logProbs, float[] old, float[] reference)
    {
        using var scope = TensorScope.Begin();
        Tensor leaf = tensor(logProbs, 1, logProbs.Length, requires_grad: true);
        Tensor kl = KlPenalty.PerToken(estimator, leaf, tensor(old, 1, old.Length), tensor(reference, 1, reference.Length));
        kl.sum().backward();
        return ([.. kl.data<float>()], [.. leaf.grad!.data<float>()]);
    }
}
