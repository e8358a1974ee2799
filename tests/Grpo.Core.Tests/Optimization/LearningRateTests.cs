using System.Text.Json;
using Grpo.Core.Tests.Golden;
using Grpo.Optimization;
using Grpo.Testing;

namespace Grpo.Core.Tests.Optimization;

public sealed class LearningRateTests
{
    [SharedFact]
    public void At_equals_transformers()
    {
        foreach (JsonElement item in GoldenFile.Read("optim.json").Items("schedules"))
        {
            string name = item.GetProperty("name").GetString()!;
            LearningRateSchedule schedule = name switch
            {
                "constant_with_warmup" => LearningRateSchedule.Constant,
                "linear_with_warmup" => LearningRateSchedule.Linear,
                "cosine_with_warmup" or "cosine_with_min_lr" => LearningRateSchedule.Cosine,
                _ => throw new InvalidDataException($"Schedule {name}?"),
            };
            double peak = item.GetProperty("base_lr").GetDouble();
            double floor = item.TryGetProperty("min_lr_rate", out JsonElement rate) ? rate.GetDouble() : 0;
            long warmup = item.GetProperty("num_warmup_steps").GetInt64();
            long total = item.TryGetProperty("num_training_steps", out JsonElement steps) ? steps.GetInt64() : 0;
            double[] expected = [.. item.Items("lr_at_step").Select(value => value.GetDouble())];
            for (int step = 0; step < expected.Length; step++)
            {
                // Past its end transformers' cosine climbs back to the peak; ours stays at its floor.
                double wanted = schedule == LearningRateSchedule.Cosine && step > total ? peak * floor : expected[step];
                Assert.Equal(wanted, LearningRate.At(schedule, peak, step, warmup, total, floor), 1e-10);
            }
        }
    }

    [Theory]
    [InlineData(0, 0.0)]
    [InlineData(1, 0.25)]
    [InlineData(3, 0.75)]
    [InlineData(4, 1.0)]
    [InlineData(1_000_000, 1.0)]
    public void At_rises_from_zero_to_the_peak(long step, double expected) =>
        Assert.Equal(expected, LearningRate.At(LearningRateSchedule.Constant, peak: 1, step, warmupSteps: 4, totalSteps: 0));

    [Theory]
    [InlineData(LearningRateSchedule.Linear, 0.0)]
    [InlineData(LearningRateSchedule.Cosine, 0.0)]
    [InlineData(LearningRateSchedule.Linear, 0.2)]
    [InlineData(LearningRateSchedule.Cosine, 0.2)]
    public void At_stays_at_the_floor_past_the_end(LearningRateSchedule schedule, double floor)
    {
        foreach (long step in new long[] { 10, 11, 15, 1_000_000 })
        {
            Assert.Equal(floor, LearningRate.At(schedule, peak: 1, step, warmupSteps: 2, totalSteps: 10, floor), 1e-12);
        }
    }

    [Fact]
    public void At_refuses_an_unknown_schedule() =>
        Assert.Throws<ArgumentOutOfRangeException>(() => LearningRate.At((LearningRateSchedule)7, 1, 0, 0, 10));
}
