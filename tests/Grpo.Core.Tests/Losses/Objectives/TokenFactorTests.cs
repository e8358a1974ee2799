using CsCheck;
using Grpo.Core.Tests.Golden;
using Grpo.Losses;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Losses.Objectives;

/// <summary>The factors between objective and KL term, and the entropy bonus.</summary>
public sealed class TokenFactorTests
{
    [Fact]
    public void OffPolicySequenceMask_leaves_out_drifted_completions_of_negative_advantage()
    {
        using var scope = TensorScope.Begin();
        // Mean drift 0.3, 0.3, 0.1, and an empty completion; the last column is padding of the first rows.
        Tensor logProbs = tensor(new[] { -1.2f, -1.4f, 0, -1.2f, -1.4f, 0, -1.1f, -1.1f, -1.1f, 0, 0, 0 }, 4, 3);
        Tensor old = tensor(new[] { -1f, -1, 0, -1, -1, 0, -1, -1, -1, 0, 0, 0 }, 4, 3);
        Tensor mask = tensor(new[] { 1f, 1, 0, 1, 1, 0, 1, 1, 1, 0, 0, 0 }, 4, 3);
        var inputs = new ObjectiveInputs(logProbs, old, tensor(new[] { -1f, 1, -1, -1 }), mask);
        Tensor factors = OffPolicySequenceMask.Factors(inputs, 0.2);
        Assert.Equal([4L, 1], factors.shape);
        Assert.Equal([0f, 1, 1, 1], factors.data<float>().ToArray());
        Assert.Equal([1f, 1, 1, 1], OffPolicySequenceMask.Factors(inputs, 0.31).data<float>().ToArray());
        Assert.Throws<ArgumentOutOfRangeException>(() => OffPolicySequenceMask.Factors(inputs, -0.1));
        Assert.Throws<ArgumentOutOfRangeException>(() => OffPolicySequenceMask.Factors(inputs, double.NaN));
    }

    [Theory]
    [InlineData(1.0, 0)]       // the smallest
    [InlineData(0.5, 2)]       // the middle of five
    [InlineData(0.25, 3)]
    [InlineData(0.3, 2.8)]     // 0.7·4 = 2.8, between the third and the fourth
    public void Threshold_interpolates_between_the_sorted_entropies(double fraction, double expected) =>
        Assert.Equal(expected, TopEntropyMask.Threshold([3, 0, 4, 1, 2], fraction), 1e-6); // float32

    [Fact]
    public void Threshold_keeps_the_token_that_it_falls_upon() => Gen.Select(Gen.Int[2, 400], Gen.Int[0, 398]).Sample(
        (count, drawn) =>
        {
            // A fraction that puts the quantile exactly on a token: rounding must not push it beyond.
            int position = drawn % (count - 1);
            float[] entropies = [.. Enumerable.Range(0, count).Select(i => i <= position ? 0f : 1)];
            Assert.Equal(0, TopEntropyMask.Threshold(entropies, 1 - ((double)position / (count - 1))));
        },
        iter: 500);

    [Fact]
    public void Threshold_refuses_padding_and_fractions_out_of_range()
    {
        Assert.Throws<ArgumentException>(() => TopEntropyMask.Threshold([1, float.NaN], 0.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => TopEntropyMask.Threshold([1], 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => TopEntropyMask.Threshold([1], 1.1));
        Assert.Throws<ArgumentOutOfRangeException>(() => TopEntropyMask.Threshold([1], double.NaN));
        Assert.Equal(double.NegativeInfinity, TopEntropyMask.Threshold([], 0.5));
    }

    [Fact]
    public void TopEntropyMask_keeps_real_tokens_from_the_threshold_on()
    {
        using var scope = TensorScope.Begin();
        Tensor entropies = tensor(new[] { 0.5f, 1, 2, float.NaN, 9, 1 }, 2, 3);
        Tensor mask = tensor(new[] { 1f, 1, 1, 0, 0, 1 }, 2, 3);
        Assert.Equal([0f, 1, 1, 0, 0, 1], TopEntropyMask.Factors(entropies, mask, 1).data<float>().ToArray()); // ties are kept
    }

    [Theory]
    [InlineData(SamplerCorrectionMode.Truncate, 2)]
    [InlineData(SamplerCorrectionMode.Mask, 0)]
    public void SamplerCorrection_bounds_the_ratio_of_the_two_engines(SamplerCorrectionMode mode, float beyond)
    {
        using var scope = TensorScope.Begin();
        Tensor old = tensor(new[] { -1f, -1, -1, 0, -1 }, 1, 5, requires_grad: true);
        Tensor sampler = tensor(new[] { -1f, -1 + MathF.Log(2), -3, float.NaN, float.NegativeInfinity }, 1, 5);
        Tensor factors = SamplerCorrection.Factors(old, sampler, tensor(new[] { 1f, 1, 1, 0, 1 }, 1, 5), mode, cap: 2);
        Near.Equal([1, .5f, beyond, 1, beyond], [.. factors.data<float>()], 1e-6, "factors");
        Assert.False(factors.requires_grad);
    }

    [Fact]
    public void SamplerCorrection_refuses_a_cap_that_would_act_where_both_agree()
    {
        using var scope = TensorScope.Begin();
        Tensor ones = torch.ones(1, 1);
        Assert.Throws<ArgumentOutOfRangeException>(() => SamplerCorrection.Factors(ones, ones, ones, SamplerCorrectionMode.Truncate, 0.9));
        Assert.Throws<ArgumentOutOfRangeException>(
            () => SamplerCorrection.Factors(ones, ones, ones, SamplerCorrectionMode.Truncate, double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => SamplerCorrection.Factors(ones, ones, ones, (SamplerCorrectionMode)5, 2));
    }

    [Fact]
    public void EntropyBonus_is_the_mean_over_the_tokens_that_count()
    {
        using var scope = TensorScope.Begin();
        Tensor entropies = tensor(new[] { 1f, 2, float.NaN, 3 }, 2, 2, requires_grad: true);
        Tensor loss = EntropyBonus.Loss(entropies, tensor(new[] { 1f, 1, 0, 1 }, 2, 2), 0.01, tokens: 4); // a fourth in another micro-batch
        loss.backward();
        Near.Equal(-0.01 * 6 / 4, loss.item<float>(), 1e-8, "bonus");
        Near.Equal([-.0025f, -.0025f, 0, -.0025f], [.. entropies.grad!.data<float>()], 1e-8, "gradient");
        Assert.Equal(0f, EntropyBonus.Loss(entropies, zeros(2, 2), 0.01, tokens: 0).item<float>());
    }

    [Fact]
    public void No_factor_multiplies_the_kl_term()
    {
        // Both masks leave nothing of the policy loss; the KL term stays whole: x = 1 at each of two tokens, k2 = 0.5, β = 0.1.
        var data = new LossCase(1, 2, [-1, -1], [0, 0], [-2, -2], [-1], [1, 1]) { KlCoefficient = 0.1 };
        var loss = new ObjectiveCase(data, new ClippedObjective()) { Kl = KlEstimator.K2, OffPolicyThreshold = 0.5, Sampler = [-9, -9] };
        ObjectiveOutcome outcome = loss.Run();
        Near.Equal(0.05, outcome.Loss, 1e-7, "β·k2");
        Near.Equal([.05f, .05f], outcome.Gradient, 1e-7, "β·x/n");
    }
}
