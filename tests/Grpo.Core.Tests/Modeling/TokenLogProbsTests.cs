using CsCheck;
using Grpo.Modeling;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Modeling;

public sealed class TokenLogProbsTests
{
    private const double Tolerance = 1e-5;

    // Of one tile, or of several (7,168 tokens each).
    private static readonly Gen<int> Vocabulary = Gen.OneOf(Gen.Int[2, 40], Gen.Int[7_166, 7_170], Gen.Int[14_000, 40_000]);

    [Fact]
    public void Compute_gives_the_logarithm_of_the_softmax()
    {
        using var scope = TensorScope.Begin();
        // Logits (0, ln 3) at temperature 1: p = (1/4, 3/4).
        Tensor hidden = tensor(new float[,] { { 1 }, { 1 } });
        Tensor weight = tensor(new float[,] { { 0 }, { MathF.Log(3) } });
        Tensor logProbs = TokenLogProbs.Compute(hidden, weight, tensor(new long[] { 0, 1 }), temperature: 1);
        Assert.Equal(Math.Log(0.25), logProbs[0].item<float>(), Tolerance);
        Assert.Equal(Math.Log(0.75), logProbs[1].item<float>(), Tolerance);
    }

    [Fact]
    public void Compute_divides_the_logits_by_the_temperature()
    {
        using var scope = TensorScope.Begin();
        // Logits (0, ln 9) at temperature 2: p = (1/4, 3/4).
        Tensor weight = tensor(new float[,] { { 0 }, { MathF.Log(9) } });
        Tensor logProbs = TokenLogProbs.Compute(ones(1, 1), weight, tensor(new long[] { 1 }), temperature: 2);
        Assert.Equal(Math.Log(0.75), logProbs[0].item<float>(), Tolerance);
    }

    [Fact]
    public void Values_and_gradients_equal_log_softmax_and_gather() =>
        // the latter: products large enough for convolutions
        Gen.OneOf(Gen.Select(Gen.Int[1, 23], Gen.Int[1, 9]), Gen.Select(Gen.Int[40, 90], Gen.Int[120, 160]))
            .SelectMany(size => Gen.Select(
                Vocabulary, Gen.Int[1, 30], Gen.Double[0.3, 3], Gen.ULong, (v, c, t, s) => (size.Item1, size.Item2, v, c, t, s)))
            .Sample((rows, width, vocabulary, chunkRows, temperature, seed) =>
            {
                using var scope = TensorScope.Begin();
                using var generator = new Generator(seed);
                Case given = Draw(rows, width, vocabulary, generator);
                Case reference = given.InDouble();
                Tensor expected = (nn.functional.linear(reference.Hidden, reference.Weight) / temperature).log_softmax(-1)
                    .gather(1, reference.Targets.unsqueeze(1)).squeeze(1);
                (expected * given.Upstream).sum().backward();

                Tensor actual = TokenLogProbs.Compute(given.Hidden, given.Weight, given.Targets, temperature, chunkRows);
                (actual * given.Upstream).sum().backward();

                Near(expected, actual);
                Near(reference.Hidden.grad!, given.Hidden.grad!, ToleranceOf(vocabulary));
                Near(reference.Weight.grad!, given.Weight.grad!);
                Assert.True(actual.requires_grad);
                Tensor plain = TokenLogProbs.Compute(given.Hidden.detach(), given.Weight.detach(), given.Targets, temperature, chunkRows);
                Assert.False(plain.requires_grad);
                Near(actual, plain);
            }, iter: 60, threads: 1);

    [Fact]
    public void ComputeWithEntropies_gives_the_entropy_of_the_softmax()
    {
        using var scope = TensorScope.Begin();
        // Logits (0, ln 3): p = (1/4, 3/4), H = ln 4 − 3/4·ln 3.
        Tensor weight = tensor(new float[,] { { 0 }, { MathF.Log(3) } });
        TokenStatistics tokens = TokenLogProbs.ComputeWithEntropies(ones(1, 1), weight, tensor(new long[] { 0 }), temperature: 1);
        Assert.Equal(Math.Log(4) - (0.75 * Math.Log(3)), tokens.Entropies.item<float>(), Tolerance);
        Assert.Equal(Math.Log(0.25), tokens.LogProbs.item<float>(), Tolerance);
    }

    [Fact]
    public void Entropies_and_their_gradients_equal_the_plain_formula() =>
        Gen.Select(Gen.Int[1, 17], Gen.Int[1, 9], Vocabulary, Gen.Int[1, 20], Gen.Double[0.3, 3], Gen.ULong)
            .Sample((rows, width, vocabulary, chunkRows, temperature, seed) =>
            {
                using var scope = TensorScope.Begin();
                using var generator = new Generator(seed);
                Case given = Draw(rows, width, vocabulary, generator);
                Case reference = given.InDouble();
                Tensor entropyUpstream = randn([rows], generator: generator);
                Tensor all = (nn.functional.linear(reference.Hidden, reference.Weight) / temperature).log_softmax(-1);
                Tensor expectedLogProbs = all.gather(1, reference.Targets.unsqueeze(1)).squeeze(1);
                Tensor expectedEntropies = -(all.exp() * all).sum(1L);
                ((expectedLogProbs * given.Upstream).sum() + (expectedEntropies * entropyUpstream).sum()).backward();

                TokenStatistics actual = TokenLogProbs.ComputeWithEntropies(
                    given.Hidden, given.Weight, given.Targets, temperature, chunkRows);
                ((actual.LogProbs * given.Upstream).sum() + (actual.Entropies * entropyUpstream).sum()).backward();

                Near(expectedLogProbs, actual.LogProbs);
                Near(expectedEntropies, actual.Entropies);
                Near(reference.Hidden.grad!, given.Hidden.grad!, ToleranceOf(vocabulary));
                Near(reference.Weight.grad!, given.Weight.grad!);
            }, iter: 60, threads: 1);

    [Fact]
    public void Backward_adds_to_the_gradient_that_a_weight_already_has()
    {
        using var scope = TensorScope.Begin();
        using var generator = new Generator(3);
        Case given = Draw(5, 4, 7, generator);
        for (int pass = 0; pass < 2; pass++)
        {
            TokenLogProbs.Compute(given.Hidden, given.Weight, given.Targets, 0.7, chunkRows: 2).sum().backward();
        }

        Case once = given.Copy();
        TokenLogProbs.Compute(once.Hidden, once.Weight, once.Targets, 0.7, chunkRows: 2).sum().backward();
        Near(once.Weight.grad! * 2, given.Weight.grad!);
        Near(once.Hidden.grad! * 2, given.Hidden.grad!);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_tied_weight_collects_both_its_uses(bool hasGradient)
    {
        using var scope = TensorScope.Begin();
        using var generator = new Generator(4);
        Case given = Draw(6, 4, 9, generator);
        if (hasGradient)
        {
            given.Weight.grad = zeros_like(given.Weight);
        }

        Case reference = given.Copy();
        Tensor ids = tensor(new long[] { 1, 1, 8, 0, 3, 2 });
        TokenLogProbs.Compute(given.Weight.index_select(0, ids).tanh(), given.Weight, given.Targets, 1, chunkRows: 4).sum().backward();
        nn.functional.linear(reference.Weight.index_select(0, ids).tanh(), reference.Weight).log_softmax(-1)
            .gather(1, reference.Targets.unsqueeze(1)).sum().backward();
        Near(reference.Weight.grad!, given.Weight.grad!);
    }

    [Theory]
    [InlineData(true, false)]
    [InlineData(false, true)]
    public void Only_what_requires_a_gradient_gets_one(bool hiddenRequires, bool weightRequires)
    {
        using var scope = TensorScope.Begin();
        using var generator = new Generator(5);
        Case given = Draw(3, 4, 5, generator);
        Tensor hidden = given.Hidden.detach().requires_grad_(hiddenRequires);
        Tensor weight = given.Weight.detach().requires_grad_(weightRequires);
        TokenLogProbs.Compute(hidden, weight, given.Targets, 1).sum().backward();
        Assert.Equal(hiddenRequires, hidden.grad is not null);
        Assert.Equal(weightRequires, weight.grad is not null);
    }

    [Fact]
    public void No_rows_give_no_log_probs_and_zero_gradients()
    {
        using var scope = TensorScope.Begin();
        Tensor hidden = zeros(0, 4, requires_grad: true);
        Tensor weight = ones(5, 4, requires_grad: true);
        Tensor logProbs = TokenLogProbs.Compute(hidden, weight, zeros(0, ScalarType.Int64), 1);
        logProbs.sum().backward();
        Assert.Equal([0], logProbs.shape);
        Assert.Equal(0, weight.grad!.abs().sum().item<float>());
    }

    [Fact]
    public void Large_logits_do_not_overflow()
    {
        using var scope = TensorScope.Begin();
        Tensor weight = tensor(new float[,] { { 0 }, { 500 }, { 500 } });
        Tensor logProbs = TokenLogProbs.Compute(ones(1, 1), weight, tensor(new long[] { 1 }), temperature: 0.5);
        Assert.Equal(-Math.Log(2), logProbs[0].item<float>(), Tolerance);
    }

    [Fact]
    public void Bfloat16_gives_float32_log_probs_and_bfloat16_gradients()
    {
        using var scope = TensorScope.Begin();
        using var generator = new Generator(6);
        Case given = Draw(5, 8, 11, generator);
        Tensor hidden = given.Hidden.detach().to(ScalarType.BFloat16).requires_grad_(true);
        Tensor weight = given.Weight.detach().to(ScalarType.BFloat16).requires_grad_(true);
        Tensor actual = TokenLogProbs.Compute(hidden, weight, given.Targets, 1, chunkRows: 2);
        actual.sum().backward();
        Tensor expected = TokenLogProbs.Compute(
            hidden.detach().to(ScalarType.Float32), weight.detach().to(ScalarType.Float32), given.Targets, 1);
        Assert.Equal(ScalarType.Float32, actual.dtype);
        Assert.Equal(ScalarType.BFloat16, weight.grad!.dtype);
        // Logits of size 4 in bfloat16, which has 8 bits of mantissa.
        Assert.True((expected - actual).abs().max().item<float>() < 0.04);
    }

    [Theory]
    [InlineData(11)]
    [InlineData(9_000)] // tiles of several rows, for which the weight is rounded once
    public void A_float32_weight_is_rounded_to_16_bits_for_the_products_and_its_gradient_is_not(int vocabulary)
    {
        using var scope = TensorScope.Begin();
        using var generator = new Generator(7);
        Case given = Draw(5, 8, vocabulary, generator);
        Tensor hidden = given.Hidden.detach().to(ScalarType.BFloat16).requires_grad_(true);
        Tensor sameHidden = hidden.detach().clone().requires_grad_(true), rounded = given.Weight.detach().to(ScalarType.BFloat16);
        Tensor actual = TokenLogProbs.Compute(hidden, given.Weight, given.Targets, 0.8, chunkRows: 2);
        (actual * given.Upstream).sum().backward();
        Tensor expected = TokenLogProbs.Compute(sameHidden, rounded, given.Targets, 0.8, chunkRows: 2);
        (expected * given.Upstream).sum().backward();
        Assert.True(expected.equal(actual).all().item<bool>());
        Assert.True(sameHidden.grad!.equal(hidden.grad!).all().item<bool>());

        // (1[target] − p) · hidden / temperature in float32, of which each product of a tile is rounded to 8 bits.
        Tensor wide = hidden.detach().to(ScalarType.Float32), weight = rounded.to(ScalarType.Float32).requires_grad_(true);
        (TokenLogProbs.Compute(wide, weight, given.Targets, 0.8) * given.Upstream).sum().backward();
        Assert.Equal(ScalarType.Float32, given.Weight.grad!.dtype);
        Near(weight.grad!, given.Weight.grad!, tolerance: 0.02);
    }

    [Fact]
    public void Compute_says_what_is_wrong_with_its_arguments()
    {
        using var scope = TensorScope.Begin();
        (Tensor hidden, Tensor weight, Tensor targets) = (zeros(3, 4), zeros(5, 4), zeros(3, ScalarType.Int64));
        Says("weight must be [V, H] = [any, 4] but is [5, 6]", () => TokenLogProbs.Compute(hidden, zeros(5, 6), targets, 1));
        Says("targets must be [rows] = [3] but is [2]", () => TokenLogProbs.Compute(hidden, weight, zeros(2, ScalarType.Int64), 1));
        Says("targets must be Int64 but is Float32", () => TokenLogProbs.Compute(hidden, weight, zeros(3), 1));
        Says("Float32 and BFloat16", () => TokenLogProbs.Compute(hidden, weight.to(ScalarType.BFloat16), targets, 1));
        Says("above 0", () => TokenLogProbs.Compute(hidden, weight, targets, 0));
        Says("above 0", () => TokenLogProbs.Compute(hidden, weight, targets, double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => TokenLogProbs.Compute(hidden, weight, targets, 1, chunkRows: 0));

        static void Says(string words, Func<Tensor> call) =>
            Assert.Contains(words, Assert.ThrowsAny<ArgumentException>(call).Message, StringComparison.Ordinal);
    }

    private static Case Draw(int rows, int width, int vocabulary, Generator generator) => new(
        randn(rows, width, generator: generator).requires_grad_(true),
        // logits of some tens lose digits that no way of computing has
        (randn(vocabulary, width, generator: generator) * Math.Min(1, 3 / Math.Sqrt(width))).requires_grad_(true),
        randint(0, vocabulary, [rows], dtype: ScalarType.Int64, generator: generator),
        randn(rows, generator: generator));

    // Float32 sums over a whole vocabulary round at every term: the plain way is as far off.
    private static double ToleranceOf(int vocabulary) => vocabulary > 1_000 ? 1e-4 : Tolerance;

    private static void Near(Tensor expected, Tensor actual, double tolerance = Tolerance)
    {
        double scale = Math.Max(1, expected.detach().abs().max().ToDouble());
        double difference = (expected - actual).detach().abs().max().ToDouble();
        Assert.True(difference <= tolerance * scale, $"Largest difference {difference:E2}.");
    }

    private sealed record Case(Tensor Hidden, Tensor Weight, Tensor Targets, Tensor Upstream)
    {
        // In float32 the plain way is off by more than ours over tens of thousands of tokens.
        public Case InDouble() => this with
        {
            Hidden = Hidden.detach().to(ScalarType.Float64).requires_grad_(true),
            Weight = Weight.detach().to(ScalarType.Float64).requires_grad_(true),
        };

        public Case Copy() => this with
        {
            Hidden = Hidden.detach().clone().requires_grad_(true),
            Weight = Weight.detach().clone().requires_grad_(true),
        };
    }
}
