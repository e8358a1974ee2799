using System.Globalization;
using System.Text.RegularExpressions;
using Grpo.Rewards;

namespace Grpo.Rewards.Tests;

public sealed partial class WordProblemsTests
{
    private static readonly IReadOnlyList<WordProblem> Train = WordProblems.Generate(new WordProblemOptions { Seed = 1, Count = 4_000 });
    private static readonly IReadOnlyList<WordProblem> Test =
        WordProblems.Generate(new WordProblemOptions { Seed = 2, Count = 2_000, Split = ProblemSplit.Test });

    [Fact]
    public void Generate_is_a_function_of_seed_and_index()
    {
        var few = WordProblems.Generate(new WordProblemOptions { Seed = 1, Count = 10 });
        var other = WordProblems.Generate(new WordProblemOptions { Seed = 3, Count = 10 });

        Assert.Equal(Train.Take(10), few);
        Assert.NotEqual(few[0].Question, other[0].Question);
    }

    [Fact]
    public void Generate_never_changes_between_versions()
    {
        // Frozen: reports of runs with a seed stay comparable. A change of templates must change this text knowingly.
        var problem = WordProblems.Generate(new WordProblemOptions { Seed = 7, Count = 1, MinSteps = 2, MaxSteps = 2 })[0];

        Assert.Equal(
            "Leo earns $9 an hour. Leo works 2 hours on Tuesday and 6 hours on Friday. How much money does Leo earn?\n"
            + "Leo works 2 + 6 = <<2+6=8>>8 hours.\nLeo earns 8 * 9 = $<<8*9=72>>72.\n#### 72",
            problem.Question + "\n" + problem.Solution);
    }

    [Fact]
    public void Generate_calculates_every_step_correctly()
    {
        foreach (WordProblem problem in Train.Concat(Test))
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
            }

            Assert.Equal(problem.Answer, result);
            Assert.Equal($"#### {problem.Answer}", lines[^1]);
            Assert.InRange(problem.Answer, 1, 250);
        }
    }

    [Fact]
    public void Generate_writes_questions_of_15_to_35_words_without_a_wrong_plural()
    {
        foreach (WordProblem problem in Train.Concat(Test))
        {
            Assert.InRange(problem.Question.Split(' ').Length, 15, 35);
            Assert.DoesNotMatch(@"\b[01] [a-z]+s\b", problem.Question + problem.Solution);
            Assert.DoesNotContain("{", problem.Question, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Generate_keeps_train_and_test_apart()
    {
        var train = Train.Select(problem => problem.Question).ToHashSet();

        Assert.DoesNotContain(Test, problem => train.Contains(problem.Question));
        Assert.All(Test, problem => Assert.Equal(ProblemSplit.Test, WordProblems.SplitOf(problem.Question)));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 3)]
    [InlineData(2, 4)]
    public void Generate_draws_every_number_of_steps_in_the_range(int min, int max)
    {
        var problems = WordProblems.Generate(new WordProblemOptions { Count = 300, MinSteps = min, MaxSteps = max });

        Assert.Equal(Enumerable.Range(min, max - min + 1), problems.Select(problem => problem.Steps).Distinct().Order());
    }

    [Fact]
    public void Generate_uses_all_templates_and_a_small_vocabulary()
    {
        var words = Train.SelectMany(problem => Word().Matches(problem.Question + " " + problem.Solution)).Select(match => match.Value);

        Assert.InRange(words.Distinct().Count(), 100, 180);
        Assert.InRange(Train.Select(problem => problem.Question).Distinct().Count(), 3_900, 4_000);
    }

    [Fact]
    public void ToCompletion_puts_the_steps_and_the_number_in_their_tags()
    {
        var problem = new WordProblem { Id = "p", Question = "q", Solution = "Mia has 2 + 3 = <<2+3=5>>5 cups now.\n#### 5", Answer = 5, Steps = 1 };

        Assert.Equal(
            "<reasoning>\nMia has 2 + 3 = <<2+3=5>>5 cups now.\n</reasoning>\n<answer>\n5\n</answer>", problem.ToCompletion());
    }

    [Fact]
    public void ToPrompts_carries_question_answer_system_message_and_fields()
    {
        var problems = WordProblems.Generate(new WordProblemOptions { Seed = 5, Count = 2, SystemPrompt = "Be exact." });
        Prompt prompt = problems.ToPrompts()[1];

        Assert.Equal("word-problems/train/5/1", prompt.Id);
        Assert.Equal(["Be exact.", problems[1].Question], prompt.Messages.Select(message => message.Text));
        Assert.Equal(problems[1].Answer.ToString(CultureInfo.InvariantCulture), prompt.Answer);
        Assert.Equal(problems[1].Solution, prompt.Fields["solution"]);
        Assert.Equal(problems[1].Steps.ToString(CultureInfo.InvariantCulture), prompt.Fields["steps"]);
    }

    [Fact]
    public void Generate_names_the_option_when_it_is_out_of_range()
    {
        var error = Assert.Throws<ArgumentOutOfRangeException>(
            () => WordProblems.Generate(new WordProblemOptions { MinSteps = 3, MaxSteps = 2 }));
        Assert.StartsWith("WordProblemOptions.MinSteps must be at most MaxSteps.", error.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => WordProblems.Generate(new WordProblemOptions { Count = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => WordProblems.Generate(new WordProblemOptions { MaxSteps = 5 }));
    }

    private static long Number(Group group) => long.Parse(group.Value, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^[A-Z][A-Za-z ]+ (?<a>\d+) (?<op>[-+*/]) (?<b>\d+) = \$?<<\k<a>\k<op>\k<b>=(?<c>\d+)>>\k<c>( [a-z ]+)?\.$")]
    private static partial Regex StepLine();

    [GeneratedRegex("[A-Za-z]+")]
    private static partial Regex Word();
}
