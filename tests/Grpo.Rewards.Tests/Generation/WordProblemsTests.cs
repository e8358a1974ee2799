using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace Grpo.Rewards.Tests;

public sealed partial class WordProblemsTests
{
    private static readonly IReadOnlyList<WordProblem> Train =
        WordProblems.Generate(new WordProblemOptions { Seed = 1, Count = 16_000, Distractors = 0.25 });
    private static readonly IReadOnlyList<WordProblem> Test =
        WordProblems.Generate(new WordProblemOptions { Seed = 2, Count = 4_000, Distractors = 0.25, Split = ProblemSplit.Test });

    private static IEnumerable<WordProblem> All => Train.Concat(Test);

    [Fact]
    public void Generate_is_a_function_of_seed_and_index()
    {
        var few = WordProblems.Generate(new WordProblemOptions { Seed = 1, Count = 10, Distractors = 0.25 });
        var other = WordProblems.Generate(new WordProblemOptions { Seed = 3, Count = 10 });

        Assert.Equal(Train.Take(10), few);
        Assert.NotEqual(few[0].Question, other[0].Question);
    }

    [Fact]
    public void Generate_never_changes_between_versions()
    {
        // Frozen, so that reports of runs with a seed stay comparable. Whoever changes the templates must change this hash knowingly.
        var problem = WordProblems.Generate(new WordProblemOptions { Seed = 7, Count = 1, MinSteps = 2, MaxSteps = 2 })[0];

        Assert.Equal(
            "Leo has 2 marbles. Max has 5 times as many marbles as Leo. How many marbles do they have together?\n"
            + "Max has 2 * 5 = <<2*5=10>>10 marbles.\nTogether they have 2 + 10 = <<2+10=12>>12 marbles.\n#### 12",
            problem.Question + "\n" + problem.Solution);
    }

    [Fact]
    public void Generate_writes_the_same_bytes_in_every_run()
    {
        // Frozen for the same reason, over all levels and distractors.
        string text = string.Join('\n', Train.Take(2_000).Select(problem => $"{problem.Id}\n{problem.Question}\n{problem.Solution}"));

        Assert.Equal(
            "21a9d1cd2f7c85c99ace5e3bd7d527eb48c55d006ef71c9ccd1ea248f892fea2",
            Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(text))));
    }

    [Fact]
    public void Generate_calculates_every_step_correctly()
    {
        foreach (WordProblem problem in All)
        {
            string[] lines = problem.Solution.Split('\n');
            Assert.Equal(problem.Steps + 1, lines.Length);
            long result = 0;
            foreach (string line in lines[..^1])
            {
                Match step = StepLine().Match(line);
                Assert.True(step.Success, line);
                long a = Number(step.Groups["a"]), b = Number(step.Groups["b"]);
                result = step.Groups["op"].Value switch { "+" => a + b, "-" => a - b, "*" => a * b, _ => a / b };
                Assert.Equal(result, Number(step.Groups["c"]));
                Assert.True(step.Groups["op"].Value != "/" || result * b == a, line);
                Assert.True(result >= 1, line);
            }

            Assert.Equal(problem.Answer, result);
            Assert.Equal($"#### {problem.Answer}", lines[^1]);
            Assert.InRange(problem.Answer, 1, 250);
        }
    }

    [Fact]
    public void Generate_writes_gold_solutions_that_the_reward_accepts()
    {
        var reward = new Gsm8kReward();
        foreach (WordProblem problem in Test)
        {
            var completion = new Completion([1], problem.ToCompletion(), FinishReason.EndToken);
            Assert.Equal(1.0, reward.Score(problem.ToPrompt(), completion).Value);
            Assert.Equal(1.0, new FormatReward().Score(problem.ToPrompt(), completion).Value);
        }
    }

    [Fact]
    public void Generate_states_every_number_of_the_question_in_a_calculation_but_the_distractor()
    {
        foreach (WordProblem problem in All)
        {
            var used = Digits().Matches(problem.Solution).Select(match => match.Value).ToHashSet();
            int idle = Digits().Matches(problem.Question).Count(match => !used.Contains(match.Value));
            Assert.True(idle == (problem.HasDistractor ? 1 : 0), $"{problem.Question}\n{problem.Solution}");
        }
    }

    [Fact]
    public void Generate_puts_a_distractor_into_the_asked_share_and_changes_nothing_else()
    {
        WordProblem[] plain = [.. WordProblems.Generate(new WordProblemOptions { Seed = 4, Count = 4_000 })];
        WordProblem[] some = [.. WordProblems.Generate(new WordProblemOptions { Seed = 4, Count = 4_000, Distractors = 0.25 })];
        WordProblem[] all = [.. WordProblems.Generate(new WordProblemOptions { Seed = 4, Count = 100, Distractors = 1 })];

        Assert.DoesNotContain(plain, problem => problem.HasDistractor);
        Assert.InRange(some.Count(problem => problem.HasDistractor), 890, 1_110); // 1,000 and four standard deviations
        Assert.All(all, problem => Assert.True(problem.HasDistractor));
        Assert.Equal(plain.Select(problem => problem.Solution), some.Select(problem => problem.Solution));
        Assert.Equal(plain.Where((_, i) => !some[i].HasDistractor), some.Where(problem => !problem.HasDistractor));
    }

    [Fact]
    public void Generate_writes_questions_of_11_to_65_words_without_a_wrong_plural()
    {
        foreach (WordProblem problem in All)
        {
            Assert.InRange(problem.Question.Split(' ').Length, 11, 65);
            Assert.DoesNotMatch(@"\b[01] [a-z]+s\b", problem.Question + problem.Solution);
            Assert.DoesNotContain("{", problem.Question, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Generate_keeps_train_and_test_apart()
    {
        var train = Train.Select(problem => problem.Question).ToHashSet();

        Assert.DoesNotContain(Test, problem => train.Contains(problem.Question));
        Assert.All(
            Test.Where(problem => !problem.HasDistractor),
            problem => Assert.Equal(ProblemSplit.Test, WordProblems.SplitOf(problem.Question)));
    }

    [Fact]
    public void Generate_decides_the_split_without_the_distractor()
    {
        // A problem must not be in the other split with a different distractor.
        var options = new WordProblemOptions { Seed = 6, Count = 500, Split = ProblemSplit.Test };
        IReadOnlyList<WordProblem> plain = WordProblems.Generate(options),
            distracted = WordProblems.Generate(options with { Distractors = 1 });

        Assert.Equal(plain.Select(problem => problem.Solution), distracted.Select(problem => problem.Solution));
        Assert.Contains(distracted, problem => WordProblems.SplitOf(problem.Question) == ProblemSplit.Train);
    }

    [Fact]
    public void Generate_repeats_no_question_and_no_id()
    {
        WordProblem[] stages =
        [
            .. WordProblems.Generate(new WordProblemOptions { Count = 500, MaxSteps = 1 }),
            .. WordProblems.Generate(new WordProblemOptions { Count = 500, MinSteps = 2, MaxSteps = 5 }),
            .. WordProblems.Generate(new WordProblemOptions { Count = 500, MinSteps = 2, MaxSteps = 5, Distractors = 1 }),
        ];

        Assert.Equal(stages.Length, stages.Select(problem => problem.Id).Distinct().Count());
        Assert.Equal(Train.Count, Train.Select(problem => problem.Question).Distinct().Count());
    }

    [Fact]
    public void Generate_does_not_repeat_questions_where_few_are_left()
    {
        // RidesTheBus has 960 questions, an eighth of them for tests. It is chosen 6,000 times, so most choices repeat a question.
        var problems = WordProblems.Generate(new WordProblemOptions { Count = 60_000, MaxSteps = 1, Split = ProblemSplit.Test });

        Assert.Equal(60_000, problems.Select(problem => problem.Question).Distinct().Count());
    }

    [Theory]
    [InlineData("de-DE")]
    [InlineData("ar-SA")]
    public void Generate_writes_the_same_bytes_in_every_culture(string culture)
    {
        var options = new WordProblemOptions { Seed = 1, Count = 300, Distractors = 0.5 };
        WordProblem[] expected = [.. WordProblems.Generate(options)];
        CultureInfo before = CultureInfo.CurrentCulture;
        try
        {
            CultureInfo.CurrentCulture = CultureInfo.GetCultureInfo(culture);
            Assert.Equal(expected, WordProblems.Generate(options));
            Assert.Equal(expected[7].ToPrompt().Answer, WordProblems.Generate(options)[7].ToPrompt().Answer);
        }
        finally
        {
            CultureInfo.CurrentCulture = before;
        }
    }

    [Theory]
    [InlineData(1, 10)]
    [InlineData(2, 60)]
    [InlineData(3, 100)]
    [InlineData(4, 150)]
    [InlineData(5, 200)]
    public void Generate_has_many_courses_and_all_operations_at_every_level(int steps, int courses)
    {
        WordProblem[] level = [.. All.Where(problem => problem.Steps == steps && !problem.HasDistractor)];
        string[] shapes = [.. level.Select(problem => Shape().Replace(problem.Question, "_"))];

        Assert.True(shapes.Distinct().Count() >= courses, $"{shapes.Distinct().Count()} courses");
        Assert.All(
            "+-*/", operation => Assert.Contains(level, problem => problem.Solution.Contains($" {operation} ", StringComparison.Ordinal)));
        Assert.InRange(level.Length, 2_700, 3_300); // a fifth of three quarters
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 3)]
    [InlineData(2, 4)]
    [InlineData(1, 5)]
    [InlineData(5, 5)]
    public void Generate_draws_every_number_of_steps_in_the_range(int min, int max)
    {
        var problems = WordProblems.Generate(new WordProblemOptions { Count = 300, MinSteps = min, MaxSteps = max });

        Assert.Equal(Enumerable.Range(min, max - min + 1), problems.Select(problem => problem.Steps).Distinct().Order());
    }

    [Fact]
    public void Generate_has_a_small_vocabulary()
    {
        var words = Train.SelectMany(problem => Word().Matches(problem.Question + " " + problem.Solution)).Select(match => match.Value);

        Assert.InRange(words.Distinct().Count(), 200, 320);
    }

    [Fact]
    public void ToCompletion_puts_the_steps_and_the_number_in_their_tags()
    {
        var problem =
            new WordProblem { Id = "p", Question = "q", Solution = "Mia has 2 + 3 = <<2+3=5>>5 cups now.\n#### 5", Answer = 5, Steps = 1 };

        Assert.Equal(
            "<reasoning>\nMia has 2 + 3 = <<2+3=5>>5 cups now.\n</reasoning>\n<answer>\n5\n</answer>", problem.ToCompletion());
    }

    [Fact]
    public void ToPrompts_carries_question_answer_system_message_and_fields()
    {
        var problems = WordProblems.Generate(new WordProblemOptions { Seed = 5, Count = 2, SystemPrompt = "Be exact." });
        Prompt prompt = problems.ToPrompts()[1];

        Assert.Equal("word-problems/train/5/1-5/1", prompt.Id);
        Assert.Equal(["Be exact.", problems[1].Question], prompt.Messages.Select(message => message.Text));
        Assert.Equal(problems[1].Answer.ToString(CultureInfo.InvariantCulture), prompt.Answer);
        Assert.Equal(problems[1].Solution, prompt.Fields["solution"]);
        Assert.Equal("false", prompt.Fields["distractor"]);
        Assert.Equal("true", (problems[1] with { HasDistractor = true }).ToPrompt().Fields["distractor"]);
        Assert.Equal(problems[1].Steps.ToString(CultureInfo.InvariantCulture), prompt.Fields["steps"]);
    }

    [Fact]
    public void Generate_names_the_option_when_it_is_out_of_range()
    {
        var error = Assert.Throws<ArgumentOutOfRangeException>(
            () => WordProblems.Generate(new WordProblemOptions { MinSteps = 3, MaxSteps = 2 }));
        Assert.StartsWith("WordProblemOptions.MinSteps must be at most MaxSteps.", error.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => WordProblems.Generate(new WordProblemOptions { Count = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => WordProblems.Generate(new WordProblemOptions { MaxSteps = 6 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => WordProblems.Generate(new WordProblemOptions { Distractors = 1.1 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => WordProblems.Generate(new WordProblemOptions { Distractors = double.NaN }));
    }

    private static long Number(Group group) => long.Parse(group.Value, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^[A-Z][A-Za-z ]+ (?<a>\d+) (?<op>[-+*/]) (?<b>\d+) = \$?<<\k<a>\k<op>\k<b>=(?<c>\d+)>>\k<c>( [a-z ]+)?\.$")]
    private static partial Regex StepLine();

    [GeneratedRegex("[0-9]+")]
    private static partial Regex Digits();

    // Matches the random parts of templates: numbers, names, things, wares and days. The rest identifies the course of a problem.
    [GeneratedRegex(
        "[0-9]+|Mia|Tom|Ann|Ben|Eva|Leo|Sue|Max|Lily|Sam|Zoe|Jack|(apple|book|card|coin|cup|egg|marble|pen|shell|stamp|ball|cake|hat|kite|"
        + "toy)s?|box(es)?|bags?|baskets?|[A-Z][a-z]+day")]
    private static partial Regex Shape();

    [GeneratedRegex("[A-Za-z]+")]
    private static partial Regex Word();
}
