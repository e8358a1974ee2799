using CsCheck;
using Grpo.Rollouts;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Rollouts;

/// <summary>Filters on tensors, here on a CPU, keep and sample the same tokens as filters in CPU memory.</summary>
public sealed class DeviceSamplingFiltersTests
{
    // Sums of float32 probabilities: nearer to a border than this, rounding decides.
    private const double Undecided = 2e-6;

    // Spread and clustered logits, with ties, zeros of both signs and dropped tokens.
    private static readonly Gen<float> Logit = Gen.Select(Gen.Float[-9, 9], Gen.Int[0, 9], (wide, kind) => kind switch
    {
        0 => float.NegativeInfinity,
        1 => 2f,
        2 => 0f,
        3 => -0f,
        4 => MathF.Round(wide),
        _ => wide,
    });

    private static readonly Gen<float[][]> Batches = Gen.Select(Gen.Int[1, 5], Gen.Int[2, 200]).SelectMany(
        (rows, vocabulary) => Logit.Array[vocabulary - 1].Select(row => (float[])[.. row, 1f]).Array[rows]);

    private static readonly Gen<SamplingOptions> Options = Gen.Select(
        Gen.OneOf(Gen.Const(0), Gen.Int[1, 210]), Gen.OneOf(Gen.Const(1.0), Gen.Double[0.05, 0.999]),
        Gen.OneOf(Gen.Const(0.0), Gen.Double[0, 1]), Gen.OneOf(Gen.Const(1.0), Gen.Double[0.5, 2]),
        Gen.OneOf(Gen.Const(0.0), Gen.Const(1.0), Gen.Double[0.3, 2]),
        (topK, topP, minP, penalty, temperature) => new SamplingOptions
        {
            TopK = topK,
            TopP = topP,
            MinP = minP,
            RepetitionPenalty = penalty,
            Temperature = temperature,
        });

    [Fact]
    public void Sample_equals_the_CPU_sampler_under_any_filters_with_one_transfer()
    {
        int compared = 0, undecided = 0;
        Gen.Select(Batches, Options, Gen.ULong).Sample((batch, options, key) =>
        {
            using var scope = TensorScope.BeginNoGrad();
            int vocabulary = batch[0].Length;
            RolloutRow[] rows = [.. batch.Select((_, row) => new RolloutRow(
                [row % vocabulary, (3 * row + 1) % vocabulary, row % vocabulary], new CompletionBuilder(key + (ulong)row)))];
            Tensor logits = tensor(batch.SelectMany(row => row).ToArray(), batch.Length, vocabulary);
            SampledToken[] expected = TokenSampler.Sample(logits, rows, options);
            using IDisposable device = DeviceTransfer.TreatCpuAsDevice();
            using TransferCount count = DeviceTransfer.Count();
            SampledToken[] actual = TokenSampler.Sample(logits, rows, options);
            Assert.Equal(1, count.Waits);
            for (int row = 0; row < rows.Length; row++)
            {
                if (IsUndecided(batch[row], rows[row], options))
                {
                    undecided++;
                    continue;
                }

                compared++;
                Assert.Equal(expected[row].Id, actual[row].Id);
                Assert.Equal(expected[row].LogProb, actual[row].LogProb, 2e-5f);
                Assert.Equal(expected[row].Entropy, actual[row].Entropy, 2e-5f);
            }
        }, iter: 600, threads: 1);
        Assert.True(undecided * 50 < compared, $"{undecided} rows were undecided, {compared} were compared.");
    }

    [Fact]
    public void Apply_drops_the_equal_logits_with_the_lowest_ids_first()
    {
        using var scope = TensorScope.BeginNoGrad();
        // 40 equal logits: p = 0.51 keeps the 21 last ones, since 19/40 ≤ 0.49 < 20/40.
        float[] row = [.. Enumerable.Repeat(1f, 40)];
        var options = new SamplingOptions { TopP = 0.51 };
        float[] onDevice = DeviceTransfer.ToArray<float>(DeviceSamplingFilters.Apply(tensor(row, 1, 40), [[0]], options));
        SamplingFilters.Apply(row, [0], options);
        Assert.Equal(Enumerable.Range(19, 21), Kept(row));
        Assert.Equal(Kept(row), Kept(onDevice));
    }

    [Fact]
    public void Apply_penalizes_each_token_once_and_leaves_the_logits()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor logits = tensor([2f, -4f, 3f, 1f], 1, 4);
        Tensor penalized = DeviceSamplingFilters.Apply(logits, [[0, 0, 0, 1, 1]], new SamplingOptions { RepetitionPenalty = 2 });
        Assert.Equal([1f, -8f, 3f, 1f], DeviceTransfer.ToArray<float>(penalized));
        Assert.Equal([2f, -4f, 3f, 1f], DeviceTransfer.ToArray<float>(logits));
    }

    private static int[] Kept(float[] row) => [.. Enumerable.Range(0, row.Length).Where(i => !float.IsNegativeInfinity(row[i]))];

    // True if the border of top-p or the random number is so near to a sum of probabilities that rounding decides.
    private static bool IsUndecided(float[] logits, RolloutRow row, SamplingOptions options)
    {
        SamplingOptions above = options.Temperature == 0 ? options with { Temperature = 1 } : options;
        float[] before = [.. logits], after = [.. logits];
        SamplingFilters.Apply(before, row.PromptIds, above with { TopP = 1, MinP = 0 });
        SamplingFilters.Apply(after, row.PromptIds, above);
        double uniform = CounterRandom.Uniform(row.Completion.RandomKey, 0);
        return (options.TopP < 1 && IsNear(before.Order(), 1 - options.TopP)) || (options.Temperature > 0 && IsNear(after, uniform));
    }

    private static bool IsNear(IEnumerable<float> logits, double border)
    {
        double maximum = logits.Max(), total = logits.Sum(logit => Math.Exp(logit - maximum)), sum = 0;
        return logits.Any(logit => Math.Abs((sum += Math.Exp(logit - maximum)) / total - border) < Undecided);
    }
}
