using Grpo.Core.Tests.Optimization;
using Grpo.Testing;

namespace Grpo.Core.Tests.Training;

public sealed class RewardEvaluatorTests
{
    [Fact]
    public async Task EvaluateAsync_scores_one_greedy_completion_per_prompt()
    {
        using BigramPolicy policy = Toy.Policy();
        float[] weights = policy.Weights();
        var sampler = new FixedSampler(request =>
        {
            Assert.Equal((1, 0.0), (request.GroupSize, request.Sampling.Temperature));
            return [.. request.Prompts.Select((prompt, i) => Toy.Group(prompt, new string('a', i + 1)))];
        });
        var reward = new Toy.TestReward((_, completion) =>
            completion.Text.Length == 4 ? Reward.Abstain : StepStatisticsTests.Judged(completion.Text.Length, completion.Text.Length > 1));
        EvaluationReport report = await new RewardEvaluator(sampler, reward, Toy.Prompts).EvaluateAsync(policy);

        Assert.Equal(4, report.Count);
        Assert.Equal(2 / 3.0, report.Accuracy);     // lengths 2 and 3 of 1, 2, 3; the fourth is not judged
        Assert.Equal(2, report.MeanReward);
        Assert.Equal(2.5, report.MeanCompletionTokens);
        Assert.Equal(new Dictionary<string, int> { ["no"] = 1, ["yes"] = 2 }, report.Verdicts);
        Assert.Equal(Toy.Prompts, report.Groups.Select(group => group.Prompt));
        Assert.Equal([1.0, 2.0, 3.0, null], report.Rewards.Select(item => item.Value));
        Assert.Equal(weights, policy.Weights());
    }

    [Fact]
    public async Task EvaluateAsync_repeats_itself()
    {
        using BigramPolicy policy = Toy.Policy();
        var evaluator = new RewardEvaluator(Toy.Sampler, new Toy.LetterReward(), Toy.Prompts, new SamplingOptions { MaxCompletionTokens = 6 });
        EvaluationReport first = await evaluator.EvaluateAsync(policy), second = await evaluator.EvaluateAsync(policy);
        Assert.Equal(first.Groups.Select(group => group.Completions[0].Text), second.Groups.Select(group => group.Completions[0].Text));
        Assert.Null(first.Accuracy); // the reward does not judge
    }

    [Fact]
    public void Constructor_refuses_an_empty_data_set() => Assert.StartsWith(
        "There are no prompts to evaluate on: the data set is empty.",
        Assert.Throws<ArgumentException>(() => new RewardEvaluator(Toy.Sampler, new Toy.LetterReward(), [])).Message, StringComparison.Ordinal);
}
