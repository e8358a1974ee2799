using CsCheck;
using Grpo.Core.Tests.Golden;
using Grpo.Losses;

namespace Grpo.Core.Tests.Losses;

/// <summary>
/// What must not matter: padding and what stands in it, the order of the sequences, how a step is cut into micro-batches.
/// </summary>
public sealed class GrpoLossInvarianceTests
{
    private static readonly Gen<LossCase> Cases =
        from rows in Gen.Int[1, 6]
        from columns in Gen.Int[1, 7]
        from logProbs in Gen.Float[-4, 0].Array[rows * columns]
        from shifts in Gen.Float[-1, 1].Array[rows * columns]
        from references in Gen.Float[-4, 0].Array[rows * columns]
        from advantages in Gen.Float[-2, 2].Array[rows]
        from lengths in Gen.Int[0, columns].Array[rows]
        from reduction in Gen.Enum<LossReduction>()
        from capped in Gen.Bool
        select new LossCase(
            rows, columns, logProbs, [.. logProbs.Zip(shifts, (a, b) => a + b)], references, advantages,
            [.. lengths.SelectMany(length => Enumerable.Range(0, columns).Select(t => t < length ? 1f : 0f))])
        {
            ClipRange = new ClipRange(0.2, 0.28, capped ? 1.5 : null),
            KlCoefficient = 0.04,
            Reduction = reduction,
        };

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(1e4f)]
    [InlineData(-1e4f)]
    [InlineData(float.NegativeInfinity)]
    public void Compute_ignores_what_stands_where_the_mask_is_zero(float poison) => Cases.Sample(
        clean =>
        {
            LossCase poisoned = clean with
            {
                LogProbs = Poison(clean.LogProbs, clean.Mask, poison),
                Old = Poison(clean.Old!, clean.Mask, -poison),
                Reference = Poison(clean.Reference!, clean.Mask, poison),
            };
            LossOutcome expected = clean.Run(), actual = poisoned.Run();
            Assert.Equal(expected.Loss, actual.Loss); // to the bit: a masked value is not even read
            Assert.Equal(expected.Gradient, actual.Gradient);
            Assert.Equal(expected.Sums, actual.Sums);
        },
        iter: 100);

    [Fact]
    public void Compute_is_unchanged_by_more_padding() => Gen.Select(Cases, Gen.Int[1, 5]).Sample(
        (narrow, columns) =>
        {
            LossOutcome expected = narrow.Run(), actual = narrow.Pad(columns, filler: 3).Run();
            Near.Equal(expected.Loss, actual.Loss, 1e-6, "loss");
            float[][] rows = [.. actual.Gradient.Chunk((int)narrow.Columns + columns)];
            Near.Equal(expected.Gradient, [.. rows.SelectMany(row => row[..(int)narrow.Columns])], 1e-6, "gradient");
            Assert.All(rows.SelectMany(row => row[(int)narrow.Columns..]), value => Assert.Equal(0f, value));
        },
        iter: 100);

    [Fact]
    public void Compute_does_not_depend_on_the_order_of_the_sequences() => Gen.Select(Cases, Gen.Int[0, 1000]).Sample(
        (ordered, seed) =>
        {
            int[] order = [.. Enumerable.Range(0, (int)ordered.Rows)];
            new Random(seed).Shuffle(order);
            LossOutcome expected = ordered.Run(), actual = ordered.Take(order).Run();
            Near.Equal(expected.Loss, actual.Loss, 1e-6, "loss");
            Near.Equal([.. order.SelectMany(row => Row(expected.Gradient, row, ordered))], actual.Gradient, 1e-7, "gradient");
        },
        iter: 100);

    [Fact]
    public void Compute_adds_up_over_any_split_into_micro_batches() => Gen.Select(Cases, Gen.Int[1, 4]).Sample(
        (whole, size) =>
        {
            LossOutcome expected = whole.Run();
            var denominators = new LossDenominators(whole.Rows, whole.Tokens, whole.MaxCompletionTokens);
            double loss = 0;
            var gradient = new List<float>();
            var sums = new double[4];
            foreach (int[] rows in Enumerable.Range(0, (int)whole.Rows).Chunk(size))
            {
                LossOutcome part = (whole.Take(rows) with { Denominators = denominators }).Run();
                loss += part.Loss;
                gradient.AddRange(part.Gradient);
                sums = [.. sums.Zip(part.Sums, (a, b) => a + b)];
            }

            Near.Equal(expected.Loss, loss, 1e-5, "loss");
            Near.Equal(expected.Gradient, gradient, 1e-7, "gradient");
            Near.Equal(expected.Sums, [.. sums.Select(sum => (float)sum)], 1e-5, "sums");
        },
        iter: 100);

    private static float[] Poison(float[] values, float[] mask, float poison) =>
        [.. values.Zip(mask, (value, real) => real == 0 ? poison : value)];

    private static float[] Row(float[] values, int row, LossCase shape) =>
        values.AsSpan((int)(row * shape.Columns), (int)shape.Columns).ToArray();
}
