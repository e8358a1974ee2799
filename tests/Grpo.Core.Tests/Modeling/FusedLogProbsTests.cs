using CsCheck;
using Grpo.Modeling;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Modeling;

/// <summary><see cref="TokenLogProbs"/> told beforehand what the loss makes of them, held against what it gives when it is not.</summary>
public sealed class FusedLogProbsTests
{
    private const double Tolerance = 1e-5;

    // One tile of 7,168 tokens, or several; small products, or large enough for convolutions.
    private static readonly Gen<int> Vocabulary = Gen.OneOf(Gen.Int[2, 40], Gen.Int[7_166, 7_170], Gen.Int[14_000, 30_000]);
    private static readonly Gen<(int Rows, int Width)> Sizes = Gen.OneOf(
        Gen.Select(Gen.Int[1, 23], Gen.Int[1, 9]), Gen.Select(Gen.Int[40, 90], Gen.Int[120, 160]));

    [Fact]
    public void Log_probs_and_gradients_are_those_of_two_passes() =>
        Gen.Select(Sizes, Vocabulary, Gen.Int[1, 60], Gen.Double[0.3, 3], Gen.ULong)
            .Sample((size, vocabulary, heldRows, temperature, seed) =>
            {
                using var scope = TensorScope.Begin();
                using var generator = new Generator(seed);
                Case given = Case.Draw(size.Rows, size.Width, vocabulary, generator);
                Case plain = given.Copy();
                Tensor expected = TokenLogProbs.Compute(plain.Hidden, plain.Weight, plain.Targets, temperature);
                Tensor actual = TokenLogProbs.Compute(
                    given.Hidden, given.Weight, given.Targets, temperature, given.GradientOfLoss, heldLogits: (long)heldRows * vocabulary);
                plain.Loss(expected).backward();
                given.Loss(actual).backward();
                Near(expected, actual);
                Near(plain.Hidden.grad!, given.Hidden.grad!);
                Near(plain.Weight.grad!, given.Weight.grad!);
            }, iter: 60, threads: 1);

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void Only_what_requires_a_gradient_gets_one(bool hiddenRequires, bool weightRequires)
    {
        using var scope = TensorScope.Begin();
        using var generator = new Generator(5);
        Case given = Case.Draw(3, 4, 5, generator);
        Tensor hidden = given.Hidden.detach().requires_grad_(hiddenRequires), weight = given.Weight.detach().requires_grad_(weightRequires);
        given.Loss(TokenLogProbs.Compute(hidden, weight, given.Targets, 1, given.GradientOfLoss)).backward();
        Assert.Equal(hiddenRequires, hidden.grad is not null);
        Assert.Equal(weightRequires, weight.grad is not null);
    }

    [Fact]
    public void The_weight_keeps_the_gradient_that_it_has()
    {
        using var scope = TensorScope.Begin();
        using var generator = new Generator(3);
        Case given = Case.Draw(5, 4, 7, generator);
        for (int pass = 0; pass < 2; pass++)
        {
            given.Loss(TokenLogProbs.Compute(given.Hidden, given.Weight, given.Targets, 0.7, given.GradientOfLoss, heldLogits: 14))
                .backward();
        }

        Case once = given.Copy();
        once.Loss(TokenLogProbs.Compute(once.Hidden, once.Weight, once.Targets, 0.7)).backward();
        Near(once.Weight.grad! * 2, given.Weight.grad!);
        Near(once.Hidden.grad! * 2, given.Hidden.grad!);
    }

    [Fact]
    public void Nothing_is_added_where_no_gradients_are_recorded()
    {
        using var scope = TensorScope.BeginNoGrad();
        using var generator = new Generator(8);
        Case given = Case.Draw(5, 4, 7, generator);
        Tensor logProbs = TokenLogProbs.Compute(
            given.Hidden, given.Weight, given.Targets, 1, _ => throw new InvalidOperationException("No loss follows."));
        Near(TokenLogProbs.Compute(given.Hidden, given.Weight, given.Targets, 1), logProbs);
        Assert.Null(given.Weight.grad);
    }

    [Fact]
    public void A_weight_that_is_no_float32_leaf_gets_its_gradient_in_the_backward_pass()
    {
        using var scope = TensorScope.Begin();
        using var generator = new Generator(9);
        Case given = Case.Draw(5, 4, 7, generator), plain = given.Copy();
        given.Loss(TokenLogProbs.Compute(given.Hidden, given.Weight * 2, given.Targets, 1, given.GradientOfLoss)).backward();
        plain.Loss(TokenLogProbs.Compute(plain.Hidden, plain.Weight * 2, plain.Targets, 1)).backward();
        Near(plain.Weight.grad!, given.Weight.grad!);
        Near(plain.Hidden.grad!, given.Hidden.grad!);
    }

    [Fact]
    public void Hidden_states_of_16_bits_give_the_gradients_of_two_passes()
    {
        using var scope = TensorScope.Begin();
        using var generator = new Generator(7);
        Case given = Case.Draw(6, 8, 9_000, generator);
        Case plain = given.Copy();
        Tensor hidden = given.Hidden.detach().to(ScalarType.BFloat16).requires_grad_(true),
            same = hidden.detach().clone().requires_grad_(true);
        Tensor actual = TokenLogProbs.Compute(hidden, given.Weight, given.Targets, 0.8, given.GradientOfLoss, heldLogits: 2 * 9_000);
        Tensor expected = TokenLogProbs.Compute(same, plain.Weight, plain.Targets, 0.8);
        given.Loss(actual).backward();
        plain.Loss(expected).backward();
        Near(expected, actual);
        // Gradients of logits are rounded to 8 bits before their products, and those of hidden after: one that rounds the other
        // way is a 256th off.
        Near(same.grad!.to(ScalarType.Float32), hidden.grad!.to(ScalarType.Float32), 0.01);
        Near(plain.Weight.grad!, given.Weight.grad!, 0.01);
    }

    [Fact]
    public void A_backward_pass_with_another_gradient_fails()
    {
        using var scope = TensorScope.Begin();
        using var generator = new Generator(10);
        Case given = Case.Draw(5, 4, 7, generator);
        Tensor logProbs = TokenLogProbs.Compute(given.Hidden, given.Weight, given.Targets, 1, given.GradientOfLoss);
        Tensor other = given.Loss(logProbs) * 1.001;
        InvalidOperationException failure = Assert.Throws<InvalidOperationException>(() => BackwardPass.Run(other));
        Assert.Contains("differs by", failure.Message, StringComparison.Ordinal);
        Assert.Contains("drop all gradients", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void No_rows_give_no_log_probs_and_zero_gradients()
    {
        using var scope = TensorScope.Begin();
        Tensor hidden = zeros(0, 4, requires_grad: true), weight = ones(5, 4, requires_grad: true);
        Tensor logProbs = TokenLogProbs.Compute(hidden, weight, zeros(0, ScalarType.Int64), 1, values => values);
        logProbs.sum().backward();
        Assert.Equal([0], logProbs.shape);
        Assert.Equal(0, weight.grad!.abs().sum().item<float>());
    }

    [Fact]
    public void Compute_says_what_is_wrong_with_its_arguments()
    {
        using var scope = TensorScope.Begin();
        (Tensor hidden, Tensor weight, Tensor targets) = (zeros(3, 4), zeros(5, 4), zeros(3, ScalarType.Int64));
        Assert.Throws<ArgumentNullException>(() => TokenLogProbs.Compute(hidden, weight, targets, 1, lossGradient: null!));
        Assert.Throws<ArgumentOutOfRangeException>(
            () => TokenLogProbs.Compute(hidden, weight, targets, 1, values => values, heldLogits: 0));
        Assert.Contains("the result of lossGradient must be [rows] = [3] but is [2]", Assert.Throws<ArgumentException>(
            () => TokenLogProbs.Compute(hidden.requires_grad_(true), weight, targets, 1, _ => zeros(2))).Message, StringComparison.Ordinal);
        Assert.Contains("[V, H] = [any, 4]", Assert.Throws<ArgumentException>(
            () => TokenLogProbs.Compute(hidden, zeros(5, 6), targets, 1, values => values)).Message, StringComparison.Ordinal);
    }

    private static void Near(Tensor expected, Tensor actual, double tolerance = Tolerance)
    {
        double scale = Math.Max(1, expected.detach().abs().max().ToDouble());
        double difference = (expected - actual).detach().abs().max().ToDouble();
        Assert.True(difference <= tolerance * scale, $"Largest difference {difference:E2}.");
    }

    /// <summary>With the loss Σ a·x + x²/2 over log-probs x, whose gradient a + x hangs on them.</summary>
    private sealed record Case(Tensor Hidden, Tensor Weight, Tensor Targets, Tensor Factors)
    {
        public static Case Draw(int rows, int width, int vocabulary, Generator generator) => new(
            randn(rows, width, generator: generator).requires_grad_(true),
            (randn(vocabulary, width, generator: generator) / Math.Sqrt(width)).requires_grad_(true),
            randint(0, vocabulary, [rows], dtype: ScalarType.Int64, generator: generator),
            randn(rows, generator: generator));

        public Tensor Loss(Tensor logProbs) => ((Factors * logProbs) + (logProbs.square() / 2)).sum();

        public Tensor GradientOfLoss(Tensor logProbs) => Factors + logProbs;

        public Case Copy() =>
            this with { Hidden = Hidden.detach().clone().requires_grad_(true), Weight = Weight.detach().clone().requires_grad_(true) };
    }
}
