using System.Globalization;
using Grpo.Evaluation;
using Grpo.Rewards;
using Grpo.Testing;

namespace Grpo.EndToEnd.Tests;

/// <summary>
/// Models whose accuracy is known: one that copies the solution, one that says nothing. The evaluator must find exactly that.
/// </summary>
public sealed class EvaluationOracleTests
{
    private static readonly IReadOnlyList<Prompt> Generated =
        WordProblems.Generate(new WordProblemOptions { Count = 200, Split = ProblemSplit.Test }).ToPrompts();

    private static string[] Gsm8kTestRows =>
        [.. GoldenItems.AtLeastOne(File.ReadLines(SharedData.Path("data", "gsm8k", "test.jsonl")), "rows")];

    [Fact]
    public async Task A_model_that_copies_the_solution_scores_1_on_generated_problems() =>
        Perfect(await EvaluateAsync(Generated, InTags), 200);

    [Fact]
    public async Task A_model_that_says_nothing_scores_0_on_generated_problems() =>
        Nothing(await EvaluateAsync(Generated, _ => ""), 200);

    [SharedFact]
    public async Task A_model_that_copies_the_solution_scores_1_on_gsm8k() =>
        Perfect(await EvaluateAsync(Gsm8kDataset.Load(SharedData.Path("data", "gsm8k", "test.jsonl")), InTags), Gsm8kTestRows.Length);

    [SharedFact]
    public async Task A_model_that_copies_the_solution_scores_1_on_gsm8k_in_the_data_sets_own_format() => Perfect(
        await EvaluateAsync(
            Gsm8kDataset.Load(SharedData.Path("data", "gsm8k", "test.jsonl")), prompt => prompt.Fields["solution"], AnswerFormat.HashMarks),
        Gsm8kTestRows.Length);

    [SharedFact]
    public async Task A_model_that_says_nothing_scores_0_on_gsm8k() =>
        Nothing(await EvaluateAsync(Gsm8kDataset.Load(SharedData.Path("data", "gsm8k", "test.jsonl")), _ => ""), Gsm8kTestRows.Length);

    [SharedFact]
    public async Task Difficulties_of_gsm8k_are_the_calculations_of_its_solutions()
    {
        EvaluationReport report = await EvaluateAsync(Gsm8kDataset.Load(SharedData.Path("data", "gsm8k", "test.jsonl")), InTags);
        // Counted in the lines of the file: solutions with 0, 1 … 8 annotations.
        Assert.Equal(
            Gsm8kTestRows.CountBy(line => line.Split("<<").Length - 1).OrderBy(count => count.Key)
                .Select(count => (count.Key.ToString(CultureInfo.InvariantCulture), count.Value)),
            report.Difficulties.Select(row => (row.Difficulty, row.Count)));
    }

    [Fact]
    public async Task A_model_that_forgets_the_tags_is_right_leniently_only()
    {
        EvaluationReport report = await EvaluateAsync(Generated, prompt => $"The answer is {prompt.Answer}.");
        Assert.Equal((0, 1), (report.Accuracy, report.LenientAccuracy));
        Assert.Equal(new Dictionary<string, int> { ["OutsideTag"] = 200 }, report.Verdicts);
        Assert.All(report.Items, item => Assert.Null(item.Completion.Answer));
        Assert.All(report.Sampled!.Accuracies, row => Assert.Equal((0, 0), (row.Pass, row.Majority)));
    }

    [Fact]
    public async Task A_model_that_writes_one_number_in_many_ways_wins_its_vote()
    {
        // Three ways to write the right number against two wrong ones that agree letter by letter.
        string[] spellings = ["9999", "9999", "{0}", "{0}.0", "${0}.00"];
        int next = 0;
        EvaluationReport report = await EvaluateAsync(
            Generated, prompt => string.Create(
                null, $"<answer>{spellings[next++ % 5].Replace("{0}", prompt.Answer, StringComparison.Ordinal)}</answer>"), samples: 5);
        SampledAccuracy all = report.Sampled!.Accuracies[^1];
        Assert.Equal((5, 1.0, 1.0), (all.K, all.Pass, all.Majority));
        Assert.Equal(0.6, report.Sampled.Accuracies[0].Pass, tolerance: 1e-12);
    }

    private static void Perfect(EvaluationReport report, int count)
    {
        Assert.Equal(count, report.Count);
        Assert.Equal((1, 1), (report.Accuracy, report.LenientAccuracy));
        Assert.Equal(1, report.AccuracyInterval!.Value.High);
        Assert.Equal(count / (count + 3.8414588), report.AccuracyInterval.Value.Low, tolerance: 1e-8); // n / (n + z²)
        Assert.Equal(new Dictionary<string, int> { ["Correct"] = count }, report.Verdicts);
        Assert.Equal([1, 2, 4], report.Sampled!.Accuracies.Select(row => row.K));
        Assert.All(report.Sampled.Accuracies, row => Assert.Equal((count, 1, 1), (row.Count, row.Pass, row.Majority)));
        Assert.All(report.Difficulties, row => Assert.Equal(1, row.Accuracy));
        Assert.Equal(count, report.Difficulties.Sum(row => row.Count));
    }

    private static void Nothing(EvaluationReport report, int count)
    {
        Assert.Equal((0, 0, 0), (report.Accuracy, report.LenientAccuracy, report.MeanReward));
        Assert.Equal(new Dictionary<string, int> { ["NoAnswer"] = count }, report.Verdicts);
        Assert.All(report.Sampled!.Accuracies, row => Assert.Equal((count, 0, 0), (row.Count, row.Pass, row.Majority)));
    }

    private static string InTags(Prompt prompt) =>
        $"<reasoning>\n{prompt.Fields["solution"]}\n</reasoning>\n<answer>\n{prompt.Answer}\n</answer>";

    private static async Task<EvaluationReport> EvaluateAsync(
        IReadOnlyList<Prompt> prompts, Func<Prompt, string> write, AnswerFormat format = AnswerFormat.TagAnswer, int samples = 4)
    {
        var sampler = new FixedSampler(request => [.. request.Prompts.Select(prompt => new RolloutGroup(
            prompt, [1],
            [.. Enumerable.Range(0, request.GroupSize).Select(_ => new Completion([1], write(prompt), FinishReason.EndToken))]))]);
        var reward = new Gsm8kReward(new Gsm8kRewardOptions { Format = format });
        using var policy = new BigramPolicy(vocabularySize: 4, seed: 1);
        return await new RewardEvaluator(sampler, reward, prompts, new EvaluationOptions { Samples = samples }).EvaluateAsync(policy);
    }
}
