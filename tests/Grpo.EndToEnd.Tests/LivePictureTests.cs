using System.Text;
using Grpo.Evaluation;
using Grpo.Optimization;
using Grpo.Samples.Gsm8k;
using Spectre.Console;

namespace Grpo.EndToEnd.Tests;

/// <summary>The live view fits into terminals of any size, and its numbers are whole.</summary>
public sealed class LivePictureTests
{
    private static readonly string[] Numbers =
        ["3 / 50", "00:01:02", "0.4321", "37.5 %", "0.0123", "0.0456 / 0.0789", "98.7 tokens", "650 tokens/s", "1.2345", "62.5 %"];

    // 400 tokens of words, of wide characters, without any space, of many short lines; and a question that fills a screen by itself.
    public static TheoryData<string, string> Texts => new()
    {
        { "How many?", string.Join(' ', Enumerable.Repeat("calculation", 400)) },
        { "一共有多少个苹果？", string.Concat(Enumerable.Repeat("计算步骤", 200)) },
        { "How many?", new string('x', 4000) },
        { "How many?", string.Join('\n', Enumerable.Range(0, 400)) },
        { string.Join(' ', Enumerable.Repeat("question", 400)), "Short." },
        { "[bold]", "a 👍🏽 b\u001b[31m [red]\t|" },
        { "", "" },
    };

    [Theory]
    [MemberData(nameof(Texts))]
    public void Draw_shows_all_numbers_in_a_terminal_of_any_size(string question, string completion)
    {
        foreach ((int width, int height) in new[] { (80, 24), (80, 10), (40, 12), (40, 24), (120, 50), (60, 8), (200, 6), (40, 7) })
        {
            string[] lines = Draw(State(question, completion), width, height);
            string shown = string.Join('\n', lines);
            Assert.True(lines.Length <= height, $"{width}x{height}: {lines.Length} lines\n{shown}");
            Assert.All(lines, line => Assert.True(line.GetCellWidth() <= width, $"{width}x{height}: {line}"));
            Assert.All(Numbers, number => Assert.True(
                Joined(lines).Contains(number, StringComparison.Ordinal), $"{width}x{height} lacks {number}:\n{shown}"));
            Assert.DoesNotContain("\u001b", shown, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Draw_gives_the_completion_what_is_left()
    {
        string completion = string.Join('\n', Enumerable.Range(100, 400));
        // 24 lines: 7 for the numbers, 3 for the course of the reward, 2 for the border; 1 each for question and verdict.
        string[] tall = Draw(State("How many?", completion), 80, 24);
        Assert.Equal(24, tall.Length);
        Assert.Contains("mean reward", tall[7], StringComparison.Ordinal);
        Assert.Equal("│ 109 …", tall[21].TrimEnd(' ', '│'));
        Assert.Contains("reward 0.1000 · WrongNumber · answer 12", tall[22], StringComparison.Ordinal);

        // 10 lines: 7 for the numbers, and in a border the verdict.
        string[] low = Draw(State("How many?", completion), 80, 10);
        Assert.Contains("reward 0.1000 · WrongNumber · answer 12", string.Join('\n', low), StringComparison.Ordinal);
        Assert.DoesNotContain("mean reward", string.Join('\n', low), StringComparison.Ordinal);

        // What fits is whole.
        string[] whole = Draw(State("How many?", "One.\nTwo."), 80, 24);
        Assert.DoesNotContain("…", string.Join('\n', whole[1..]), StringComparison.Ordinal);
        Assert.Contains("GRPO · …", whole[0], StringComparison.Ordinal);
        Assert.Contains("/checkpoint-000050", whole[0], StringComparison.Ordinal); // the end of a long name
    }

    // Words that were wrapped are put together again.
    private static string Joined(string[] lines) => string.Join(' ', lines.Select(line => line.Trim(' ', '│')));

    private static string[] Draw(LiveState state, int width, int height)
    {
        var written = new StringWriter(new StringBuilder());
        IAnsiConsole console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = AnsiSupport.No,
            ColorSystem = ColorSystemSupport.NoColors,
            Out = new AnsiConsoleOutput(written),
        });
        (console.Profile.Width, console.Profile.Height, console.Profile.Capabilities.Unicode) = (width, height, true);
        console.Write(new LivePicture(console).Draw(state));
        return written.ToString().TrimEnd('\n', '\r').Split(Environment.NewLine);
    }

    private static LiveState State(string question, string completion)
    {
        var group = new RolloutGroup(Prompt.Create("p", question, "12"), [1], [new Completion([1], completion, FinishReason.Truncated)]);
        var update = new UpdateReport
        {
            Loss = 0,
            Kl = 0.0123,
            Clip = new Losses.ClipMetrics(0.0456, 0.0789, 0.1245, 0, 0),
            SamplerDifference = new LogProbDifference(0, 0),
            GradientNorm = 1,
            LearningRate = 1,
        };
        var report = new StepReport
        {
            Step = 3,
            MeanReward = 0.4321,
            RewardStdDev = 0,
            Accuracy = 0.375,
            ZeroStdDevFraction = 0,
            AllRightFraction = 0,
            AllWrongFraction = 0,
            Abstained = 0,
            RewardErrors = 0,
            MeanCompletionTokens = 98.7,
            TruncatedFraction = 0,
            Entropy = 1.2345,
            CompletionTokens = 650,
            Groups = [new ScoredGroup(group, [new Reward(0.1) { IsCorrect = false, Verdict = "WrongNumber" }], [0])],
            RewardComponents = new Dictionary<string, double>(),
            Verdicts = new Dictionary<string, int>(),
            Updates = [update],
            RolloutTime = TimeSpan.FromSeconds(1), // 650 tokens in a second
        };
        string model = "a/very/long/path/of/a/model/that/is/wider/than/a/small/terminal/checkpoint-000050";
        return new LiveState(
            model, 50, report, new EvaluationReport { Count = 8, Accuracy = 0.625 }, TimeSpan.FromSeconds(62), [0.1, 0.2, 0.4321]);
    }
}
