using Grpo.Core.Tests.Optimization;
using Grpo.Evaluation;
using Grpo.Testing;

namespace Grpo.Core.Tests.Evaluation;

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
    public async Task Constructor_can_be_called_with_every_way_to_say_the_defaults()
    {
        using BigramPolicy policy = Toy.Policy();
        var reward = new Toy.LetterReward();
        EvaluationOptions? noOptions = null;
        SamplingOptions? noSampling = null;
        var sampler = new FixedSampler(request => [.. request.Prompts.Select(prompt => Toy.Group(prompt, "a"))]);
        RewardEvaluator[] evaluators =
        [
            new(sampler, reward, Toy.Prompts), new(sampler, reward, Toy.Prompts, null), new(sampler, reward, Toy.Prompts, new()),
            new(sampler, reward, Toy.Prompts, default), new(sampler, reward, Toy.Prompts, noOptions),
            new(sampler, reward, Toy.Prompts, noSampling),
            new(sampler, reward, Toy.Prompts, options: null), new(sampler, reward, Toy.Prompts, sampling: null),
        ];
        foreach (RewardEvaluator evaluator in evaluators)
        {
            await evaluator.EvaluateAsync(policy);
        }

        Assert.All(sampler.Requests, request => Assert.Equal((1, new SamplingOptions().ToGreedy()), (request.GroupSize, request.Sampling)));
        Assert.Equal(8, sampler.Requests.Count);
    }

    [Fact]
    public async Task EvaluateAsync_repeats_itself()
    {
        using BigramPolicy policy = Toy.Policy();
        var evaluator = new RewardEvaluator(
            Toy.Sampler, new Toy.LetterReward(), Toy.Prompts, new SamplingOptions { MaxCompletionTokens = 6 });
        EvaluationReport first = await evaluator.EvaluateAsync(policy), second = await evaluator.EvaluateAsync(policy);
        Assert.Equal(first.Groups.Select(group => group.Completions[0].Text), second.Groups.Select(group => group.Completions[0].Text));
        Assert.Null(first.Accuracy); // the reward does not judge
    }

    [Fact]
    public void Constructor_refuses_an_empty_data_set() => Assert.StartsWith(
        "There are no prompts to evaluate on: the data set is empty.",
        Assert.Throws<ArgumentException>(() => new RewardEvaluator(Toy.Sampler, new Toy.LetterReward(), [])).Message,
        StringComparison.Ordinal);

    [Fact]
    public async Task EvaluateAsync_is_a_function_of_the_seed()
    {
        using BigramPolicy policy = Toy.Policy();
        string first = await Write(seed: 5), second = await Write(seed: 5), other = await Write(seed: 6);
        Assert.Equal(first, second);
        Assert.NotEqual(first, other);

        async Task<string> Write(ulong seed)
        {
            using var folder = new TemporaryFolder();
            EvaluationFile.Write(folder["evaluation.json"], await Evaluator(Toy.Prompts, seed).EvaluateAsync(policy));
            return File.ReadAllText(folder["evaluation.json"]);
        }
    }

    [Fact]
    public async Task EvaluateAsync_gives_an_item_the_same_result_in_any_order_and_company()
    {
        using BigramPolicy policy = Toy.Policy();
        EvaluationReport all = await Evaluator(Toy.Prompts).EvaluateAsync(policy);
        EvaluationReport reversed = await Evaluator([.. Toy.Prompts.Reverse()]).EvaluateAsync(policy);
        EvaluationReport alone = await Evaluator([Toy.Prompts[2]]).EvaluateAsync(policy);

        Assert.Equal(["p3", "p2", "p1", "p0"], reversed.Items.Select(item => item.Id));
        Assert.Equal(all.Items.Select(Texts), reversed.Items.Reverse().Select(Texts));
        Assert.Equal(Texts(all.Items[2]), Texts(alone.Items[0]));
        Assert.Equal(all.Sampled!.Accuracies.Select(row => row.Majority), reversed.Sampled!.Accuracies.Select(row => row.Majority));

        static string Texts(EvaluationItem item) =>
            string.Join('|', item.Samples.Append(item.Completion).Select(completion => completion.Text));
    }

    [Fact]
    public async Task EvaluateAsync_samples_with_the_limits_of_accuracy_and_the_seed()
    {
        var sampler = new FixedSampler(
            request => [.. request.Prompts.Select(prompt => Toy.Group(prompt, [.. Enumerable.Repeat("a", request.GroupSize)]))]);
        using BigramPolicy policy = Toy.Policy();
        var options = new EvaluationOptions
        {
            AccuracySampling = new SamplingOptions { Temperature = 0, MaxCompletionTokens = 5, TopK = 3 },
            Samples = 3,
            Seed = 9,
        };
        var evaluator = new RewardEvaluator(sampler, new Toy.LetterReward(), Toy.Prompts, options);
        options.Samples = 4;                              // too late: they are copied
        options.AccuracySampling.MaxCompletionTokens = 2;
        await evaluator.EvaluateAsync(policy);

        Assert.Equal([(1, 9UL), (3, 9UL)], sampler.Requests.Select(request => (request.GroupSize, request.Seed)));
        Assert.Equal(
            [new SamplingOptions { Temperature = 0, MaxCompletionTokens = 5, TopK = 3 }, new SamplingOptions { MaxCompletionTokens = 5 }],
            sampler.Requests.Select(request => request.Sampling));
    }

    [Fact]
    public async Task EvaluateAsync_refuses_a_sampler_that_returns_something_else()
    {
        using BigramPolicy policy = Toy.Policy();
        await Refused("FixedSampler returned 0 groups for 4 prompts; it must return one per prompt.", _ => []);
        await Refused(
            "FixedSampler returned 2 completions of prompt 'p0' in place 0; it must return 1 of prompt 'p0' there.",
            prompt => [.. Toy.Prompts.Select(each => Toy.Group(each, "a", "b"))]);
        await Refused(
            "FixedSampler returned 1 completions of prompt 'p3' in place 0; it must return 1 of prompt 'p0' there.",
            prompt => [.. Toy.Prompts.Reverse().Select(each => Toy.Group(each, "a"))]);

        async Task Refused(string message, Func<RolloutRequest, IReadOnlyList<RolloutGroup>> sample) => Assert.Equal(
            message,
            (await Assert.ThrowsAsync<InvalidOperationException>(
                () => new RewardEvaluator(new FixedSampler(sample), new Toy.LetterReward(), Toy.Prompts).EvaluateAsync(policy)
                    .AsTask())).Message);
    }

    [Fact]
    public void Constructor_refuses_options_and_names_them_all()
    {
        var options = new EvaluationOptions
        {
            Samples = 4,
            PassAt = [1, 8],
            Confidence = 95,
            PassSampling = new SamplingOptions { Temperature = 0 },
            AccuracySampling = new SamplingOptions { MaxCompletionTokens = 0 },
        };
        string message = Assert.Throws<ArgumentException>(
            () => new RewardEvaluator(Toy.Sampler, new Toy.LetterReward(), Toy.Prompts, options)).Message;
        Assert.Contains("MaxCompletionTokens is 0", message, StringComparison.Ordinal);
        Assert.Contains("PassAt is 8 but must be 1 to Samples, 4: raise Samples.", message, StringComparison.Ordinal);
        Assert.Contains("Confidence is 95", message, StringComparison.Ordinal);
        Assert.Contains(
            "Temperature is 0 but must be above 0: greedy samples of one prompt are all equal.", message, StringComparison.Ordinal);
        Assert.Contains(
            "Samples is -1", Assert.Throws<ArgumentException>(() => new EvaluationOptions { Samples = -1 }.Validate()).Message,
            StringComparison.Ordinal);
    }

    [Fact]
    public async Task EvaluateAsync_stops_when_canceled()
    {
        using BigramPolicy policy = Toy.Policy();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(
            () => Evaluator(Toy.Prompts).EvaluateAsync(policy, new CancellationToken(canceled: true)).AsTask());
    }

    // Right when it ends with an a; the answer is the last letter.
    private static RewardEvaluator Evaluator(IReadOnlyList<Prompt> prompts, ulong seed = 5) => new(
        Toy.Sampler,
        new Toy.TestReward((_, completion) => new Reward(completion.Text.EndsWith('a') ? 1 : 0)
        {
            IsCorrect = completion.Text.EndsWith('a'),
            Answer = completion.Text.Length > 0 ? completion.Text[^1..] : null,
        }),
        prompts,
        new EvaluationOptions
        {
            AccuracySampling = new SamplingOptions { Temperature = 0, MaxCompletionTokens = 6 },
            Samples = 5,
            Seed = seed,
        });
}
