using Grpo.Optimization;

namespace Grpo.Core.Tests.Optimization;

public sealed class StepTimesTests
{
    [Fact]
    public void Add_takes_means_without_the_first_step()
    {
        StepTimes first = StepTimes.Add(null, Report(9, 1, 5));
        Assert.Equal("15.00 s per step (rollout 9.00, scoring 1.00, update 5.00), mean of 1", first.ToString());

        StepTimes third = StepTimes.Add(StepTimes.Add(first, Report(2, 0, 1)), Report(4, 1, 2));
        Assert.Equal("5.00 s per step (rollout 3.00, scoring 0.50, update 1.50), mean of 2", third.ToString());
        Assert.Equal(TimeSpan.FromSeconds(50), third.For(10));
    }

    [Fact]
    public async Task Explain_says_how_long_a_step_takes_once_there_was_one()
    {
        using Grpo.Testing.BigramPolicy policy = Toy.Policy();
        using var optimizer = new GrpoOptimizer(policy, Toy.Sampler, new Toy.LetterReward(), Toy.Options);
        Assert.Contains("measured on the first step", optimizer.Explain().ToString(), StringComparison.Ordinal);

        StepReport report = await optimizer.StepAsync(Toy.Prompts);
        StepTimes times = optimizer.Explain().StepTimes!;
        Assert.Equal((report.Duration, 1), (times.Step, times.Steps));
        Assert.Contains(" s per step (rollout ", optimizer.Explain().ToString(), StringComparison.Ordinal);
    }

    private static StepReport Report(int rollout, int scoring, int update) => StepStatistics.Report(1, [], 0, []) with
    {
        RolloutTime = TimeSpan.FromSeconds(rollout),
        ScoringTime = TimeSpan.FromSeconds(scoring),
        UpdateTime = TimeSpan.FromSeconds(update),
    };
}
