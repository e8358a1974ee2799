using Grpo.Testing;

namespace Grpo.Core.Tests.Optimization;

/// <summary>Groups without a signal are replaced from the reserve, within the rounds allowed.</summary>
public sealed class DynamicSamplingTests
{
    private static readonly Prompt[] Prompts = [Prompt.Create("dead0", "b"), Prompt.Create("live0", "b")];
    private static readonly Prompt[] Reserve = [Prompt.Create("dead1", "b"), Prompt.Create("live1", "b"), Prompt.Create("live2", "b")];

    [Fact]
    public async Task StepAsync_replaces_groups_without_signal_until_the_step_is_full()
    {
        (StepReport report, string[][] requests) = await StepAsync(maxRounds: 5);

        Assert.Equal([["dead0", "live0"], ["dead1"], ["live1"]], requests); // as many as are missing, in the order of the reserve
        Assert.Equal((3, 2), (report.SamplingRounds, report.ReplacedGroups));
        Assert.Equal(["dead0", "live0", "dead1", "live1"], report.Groups.Select(group => group.Group.Prompt.Id));
        Assert.Equal([false, true, false, true], report.Groups.Select(group => group.Advantages.Any(advantage => advantage != 0)));
        Assert.Equal((1 + 1 + 0.5 + 0.5) / 4, report.MeanReward, 1e-12); // of everything that was sampled
        Assert.Equal(4 * 2 * 2, report.CompletionTokens);
    }

    [Theory]
    [InlineData(1, 1, 0)] // no replacement: the dead group fills the step
    [InlineData(2, 2, 1)] // one more round, which found a dead group too
    public async Task StepAsync_fills_up_with_groups_without_signal_when_the_rounds_are_spent(int maxRounds, int rounds, int replaced)
    {
        (StepReport report, _) = await StepAsync(maxRounds);

        Assert.Equal((rounds, replaced), (report.SamplingRounds, report.ReplacedGroups));
        Assert.Equal(["live0"], report.Groups.Where(group => group.Advantages.Any(advantage => advantage != 0))
            .Select(group => group.Group.Prompt.Id));
    }

    [Fact]
    public async Task StepAsync_stops_when_the_reserve_is_spent()
    {
        (StepReport report, string[][] requests) = await StepAsync(maxRounds: 5, reserve: 1);
        Assert.Equal([["dead0", "live0"], ["dead1"]], requests);
        Assert.Equal(2, report.SamplingRounds);
    }

    [Fact]
    public async Task Trainer_draws_a_reserve_that_repeats_no_prompt_of_the_step_and_no_earlier_run()
    {
        Prompt[] data = [.. Enumerable.Range(0, 12).Select(i => Prompt.Create($"dead{i}", "b"))];
        string[][] first = await TrainAsync(data), second = await TrainAsync(data);
        Assert.Equal(first, second);
        Assert.All(first.Chunk(3), step => // a step asks three times, since nothing it finds has a signal
        {
            string[] asked = [.. step.SelectMany(ids => ids)];
            Assert.Equal(asked.Length, asked.Distinct().Count());
        });
    }

    private static async Task<string[][]> TrainAsync(Prompt[] data)
    {
        using BigramPolicy policy = Toy.Policy();
        FixedSampler sampler = Sampler();
        using var optimizer = new GrpoOptimizer(
            policy, sampler, Reward, Toy.Options with { PromptsPerStep = 2, GroupSize = 2, MaxSamplingRounds = 3 });
        await new GrpoTrainer(optimizer, data, new TrainerOptions { Steps = 2 }).TrainAsync();
        return [.. sampler.Requests.Select(request => request.Prompts.Select(prompt => prompt.Id).ToArray())];
    }

    private static async Task<(StepReport Report, string[][] Requests)> StepAsync(int maxRounds, int reserve = 3)
    {
        using BigramPolicy policy = Toy.Policy();
        FixedSampler sampler = Sampler();
        using var optimizer = new GrpoOptimizer(
            policy, sampler, Reward, Toy.Options with { PromptsPerStep = 2, GroupSize = 2, MaxSamplingRounds = maxRounds });
        StepReport report = await optimizer.StepAsync(Prompts, Reserve[..reserve]);
        return (report, [.. sampler.Requests.Select(request => request.Prompts.Select(prompt => prompt.Id).ToArray())]);
    }

    private static FixedSampler Sampler() => new(request => [.. request.Prompts.Select(prompt => Toy.Group(prompt, "a.", "c."))]);

    // A dead prompt pays both completions 1, a live one only the first.
    private static IRewardFunction Reward { get; } = RewardFunction.Create(
        "signal", (prompt, completion) => prompt.Id.StartsWith("dead", StringComparison.Ordinal) || completion.Text == "a" ? 1 : 0);
}
