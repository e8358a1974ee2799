using CsCheck;
using Grpo.Core.Tests.Golden;
using Grpo.Losses;

namespace Grpo.Core.Tests.Losses.Objectives;

/// <summary>
/// What holds for every objective: REINFORCE's gradient at ratio 1, and indifference to padding, order and micro-batches.
/// </summary>
public sealed class ObjectivePropertyTests
{
    private static readonly Gen<ObjectiveCase> Cases =
        from rows in Gen.Int[1, 5]
        from columns in Gen.Int[1, 6]
        from logProbs in Gen.Float[-4, 0].Array[rows * columns]
        from shifts in Gen.Float[-1, 1].Array[rows * columns]
        from references in Gen.Float[-4, 0].Array[rows * columns]
        from entropies in Gen.Float[0, 3].Array[rows * columns]
        from advantages in Gen.Float[-2, 2].Array[rows]
        from lengths in Gen.Int[0, columns].Array[rows]
        from objective in Gen.Int[0, ObjectiveList.All.Count - 1].Select(index => ObjectiveList.All[index])
        from reduction in Gen.Enum<LossReduction>()
        from kl in ObjectiveList.AnyKlLoss
        from mode in Gen.Enum<SamplerCorrectionMode>()
        select new ObjectiveCase(
            new LossCase(
                rows, columns, logProbs, [.. logProbs.Zip(shifts, (a, b) => a + b)], references, advantages,
                [.. lengths.SelectMany(length => Enumerable.Range(0, columns).Select(t => t < length ? 1f : 0f))])
            {
                KlCoefficient = 0.04,
                Reduction = reduction,
            },
            objective)
        {
            Kl = kl,
            OffPolicyThreshold = 0.1,
            Entropies = entropies,
            TopEntropy = 0.7,
            EntropyCoefficient = 0.01,
            Sampler = [.. logProbs.Zip(shifts, (a, b) => a - b)],
            SamplerMode = mode,
        };

    [Fact]
    public void PerToken_has_the_gradient_of_REINFORCE_at_ratio_one()
    {
        foreach (PolicyObjective objective in ObjectiveList.All)
        {
            Cases.Sample(
                drawn =>
                {
                    LossCase fresh = drawn.Data with { Old = null, Reduction = LossReduction.SequenceMean, KlCoefficient = 0 };
                    float[] gradient = new ObjectiveCase(fresh, objective).Run().Gradient;
                    for (int i = 0; i < gradient.Length; i++)
                    {
                        int row = i / (int)fresh.Columns;
                        float tokens = fresh.Mask.AsSpan(row * (int)fresh.Columns, (int)fresh.Columns).ToArray().Sum();
                        double expected = -fresh.Advantages[row] * fresh.Mask[i] / (Math.Max(tokens, 1) * fresh.Rows);
                        Near.Equal(expected, gradient[i], 1e-6, $"{objective}, token {i}");
                    }
                },
                iter: 20);
        }
    }

    [Fact]
    public void The_gradient_of_a_token_hangs_on_its_own_log_prob_alone_where_IsPerToken_says_so()
    {
        foreach (PolicyObjective objective in ObjectiveList.All)
        {
            int changed = 0;
            Cases.Sample(
                drawn =>
                {
                    ObjectiveCase given =
                        drawn with { Objective = objective, OffPolicyThreshold = null, TopEntropy = 1, EntropyCoefficient = 0 };
                    float[] gradient = given.Run().Gradient;
                    for (int token = 0; token < gradient.Length; token++)
                    {
                        float[] others = new float[gradient.Length];
                        others[token] = given.Data.LogProbs[token];
                        float alone = (given with { Data = given.Data with { LogProbs = others } }).Run().Gradient[token];
                        changed += BitConverter.SingleToInt32Bits(alone) != BitConverter.SingleToInt32Bits(gradient[token]) ? 1 : 0;
                    }
                },
                iter: 20, threads: 1);
            Assert.True(objective.IsPerToken == (changed == 0), $"{objective}: {changed} gradients hang on other tokens.");
        }
    }

    [Fact]
    public void PerToken_is_finite_where_the_mask_is_zero() => Cases.Sample(
        drawn => Assert.All(drawn.Pad(2, float.NaN).Run().Gradient, value => Assert.True(float.IsFinite(value))), iter: 100);

    [Theory]
    [InlineData(float.NaN)]
    [InlineData(1e4f)]
    [InlineData(-1e4f)]
    [InlineData(float.NegativeInfinity)]
    public void The_loss_ignores_what_stands_where_the_mask_is_zero(float poison) => Cases.Sample(
        clean =>
        {
            ObjectiveCase poisoned = clean with
            {
                Data = clean.Data with
                {
                    LogProbs = Poison(clean.Data.LogProbs, poison),
                    Old = Poison(clean.Data.Old!, -poison),
                    Reference = Poison(clean.Data.Reference!, poison),
                },
                Entropies = Poison(clean.Entropies!, poison),
                Sampler = Poison(clean.Sampler!, poison),
            };
            ObjectiveOutcome expected = clean.Run(), actual = poisoned.Run();
            Assert.Equal(expected.Gradient, actual.Gradient); // to the bit: a masked value is not even read
            Assert.Equal(expected, actual with { Gradient = expected.Gradient });

            float[] Poison(float[] values, float with) => [.. values.Zip(clean.Data.Mask, (value, real) => real == 0 ? with : value)];
        },
        iter: 100);

    [Fact]
    public void The_loss_is_unchanged_by_more_padding() => Gen.Select(Cases, Gen.Int[1, 5]).Sample(
        (narrow, columns) =>
        {
            ObjectiveOutcome expected = narrow.Run(), actual = narrow.Pad(columns, filler: 3).Run();
            Near.Equal(expected.Loss, actual.Loss, 1e-5, $"loss of {narrow.Objective}"); // other order of summation
            float[][] rows = [.. actual.Gradient.Chunk((int)narrow.Data.Columns + columns)];
            Near.Equal(expected.Gradient, [.. rows.SelectMany(row => row[..(int)narrow.Data.Columns])], 1e-5, "gradient");
            Assert.All(rows.SelectMany(row => row[(int)narrow.Data.Columns..]), value => Assert.Equal(0f, value));
        },
        iter: 200);

    [Fact]
    public void The_loss_does_not_depend_on_the_order_of_the_sequences() => Gen.Select(Cases, Gen.Int[0, 1000]).Sample(
        (ordered, seed) =>
        {
            int[] order = [.. Enumerable.Range(0, (int)ordered.Data.Rows)];
            new Random(seed).Shuffle(order);
            ObjectiveOutcome expected = ordered.Run(), actual = ordered.Take(order).Run();
            Near.Equal(expected.Loss, actual.Loss, 1e-5, $"loss of {ordered.Objective}");
            Near.Equal([.. order.SelectMany(row => Row(expected.Gradient, row, ordered.Data))], actual.Gradient, 1e-6, "gradient");
        },
        iter: 200);

    [Fact]
    public void The_loss_adds_up_over_any_split_into_micro_batches() => Gen.Select(Cases, Gen.Int[1, 3]).Sample(
        (drawn, size) =>
        {
            // The entropy threshold and the bonus's divisor are the step's; the cut below would recompute them from its rows.
            ObjectiveCase whole = drawn with { TopEntropy = 1, EntropyTokens = drawn.Data.Tokens };
            var denominators = new LossDenominators(whole.Data.Rows, whole.Data.Tokens, whole.Data.MaxCompletionTokens);
            ObjectiveOutcome[] parts = [.. Enumerable.Range(0, (int)whole.Data.Rows).Chunk(size).Select(rows =>
            {
                ObjectiveCase part = whole.Take(rows);
                return (part with { Data = part.Data with { Denominators = denominators } }).Run();
            })];
            ObjectiveOutcome expected = whole.Run();
            Near.Equal(expected.Loss, parts.Sum(part => part.Loss), 1e-5, $"loss of {whole.Objective}");
            Near.Equal(expected.Gradient, [.. parts.SelectMany(part => part.Gradient)], 1e-6, "gradient");
        },
        iter: 200);

    private static float[] Row(float[] values, int row, LossCase shape) =>
        values.AsSpan((int)(row * shape.Columns), (int)shape.Columns).ToArray();
}
