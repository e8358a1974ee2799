using Grpo.Losses;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Losses.Objectives;

public sealed class ClipMetricsTests
{
    // Range 0.8 to 1.2. Row 1, A = 1: 1.3, 1.3, 0.5, 1 · row 2, A = −1: 0.5, 1.3, padding · row 3, A = 0.
    private static readonly float[] Ratios = [1.3f, 1.3f, 0.5f, 1, 0.5f, 1.3f, 0.1f, 0.1f, 0.5f, 1.3f, 1, 1];
    private static readonly float[] Mask = [1, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1];

    [Fact]
    public void PerSequence_counts_the_side_that_the_sign_of_the_advantage_clips()
    {
        using var scope = TensorScope.Begin();
        Tensor counts = ClipCounts.PerSequence(tensor(Ratios, 3, 4), tensor(new[] { 1f, -1, 0 }), tensor(Mask, 3, 4), 0.8, 1.2);
        Assert.Equal([0f, 2, 4, 1, 0, 2, 0, 0, 4], counts.data<float>().ToArray());
    }

    [Fact]
    public void PerSequence_counts_a_sequence_ratio_once()
    {
        using var scope = TensorScope.Begin();
        Tensor counts = ClipCounts.PerSequence(
            tensor(new[] { 1.3f, 0.5f, 1.3f }, 3, 1), tensor(new[] { 1f, -1, -1 }), tensor(Mask, 3, 4), 0.8, 1.2);
        Assert.Equal([0f, 1, 1, 1, 0, 1, 0, 0, 1], counts.data<float>().ToArray());
    }

    [Fact]
    public void FromCounts_weighs_tokens_in_the_means_and_sequences_in_the_extremes()
    {
        ClipMetrics metrics = ClipMetrics.FromCounts([0, 2, 4, 1, 0, 2, 0, 0, 4]);
        // of 10 tokens, of 3 sequences
        Assert.Equal(new ClipMetrics(LowMean: .1, HighMean: .2, RegionMean: .3, LowMin: 0, HighMax: .5), metrics);
        Assert.Equal(.5, ClipMetrics.FromCounts([1, 0, 2, 3, 0, 4]).LowMin);
    }

    [Fact]
    public void FromCounts_leaves_out_sequences_without_tokens()
    {
        Assert.Equal(new ClipMetrics(1, 0, 1, 1, 0), ClipMetrics.FromCounts([0, 0, 0, 2, 0, 2]));
        Assert.Equal(default, ClipMetrics.FromCounts([0, 0, 0]));
        Assert.Equal(default, ClipMetrics.FromCounts([]));
    }

    [Fact]
    public void FromCounts_refuses_anything_but_triples()
    {
        var exception = Assert.Throws<ArgumentException>(() => ClipMetrics.FromCounts([1, 2]));
        Assert.StartsWith("The counts are triples, but there are 2 numbers.", exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Objectives_count_against_their_own_range()
    {
        // w = 1.3 with A = 1, w = 0.5 with A = −1; one token each.
        var data = new LossCase(2, 1, [MathF.Log(1.3f), MathF.Log(.5f)], [0, 0], null, [1, -1], [1, 1]);
        (PolicyObjective Objective, double Low, double High)[] expected =
        [
            (new ClippedObjective(), .5, .5),
            (new ClippedObjective { High = .5 }, .5, 0),
            (new CispoObjective(), 0, 0),
            (new CispoObjective { Cap = 1.2 }, 0, .5),
            (new CispoBandObjective { Low = .4 }, .5, .5),
            (new GspoObjective(), .5, .5),
            (new GmpoObjective(), .5, 0),               // e^-0.4 = 0.67, e^0.4 = 1.49
        ];
        Assert.All(expected, item =>
        {
            ClipMetrics metrics = new ObjectiveCase(data, item.Objective).Run().Clips!.Value;
            Assert.Equal((item.Low, item.High), (metrics.LowMean, metrics.HighMean));
        });
        Assert.Null(new ObjectiveCase(data, new SapoObjective()).Run().Clips);
        Assert.Null(new ObjectiveCase(data, new ReinforceObjective()).Run().Clips);
    }
}
