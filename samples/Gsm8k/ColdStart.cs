using System.Globalization;
using System.Text.RegularExpressions;
using Grpo.Rewards;

namespace Grpo.Samples.Gsm8k;

/// <summary>
/// The examples that the tiny model imitates before GRPO.
/// </summary>
/// <remarks>
/// Most of them are careless: they omit the last calculation and answer with the result of the one before. Independently, a third of them
/// lack the tags around the reasoning. The model therefore knows how to solve a problem and how to write the solution,
/// but often does neither.
/// Reinforcement can change that.
/// </remarks>
internal static partial class ColdStart
{
    // Above one half, so that greedy decoding is careless too, and low enough that nearly every group of 8 has a careful completion.
    private const double CarelessShare = 0.7;

    // The answer is found without these tags, so a reward for the form alone can change the form but not the accuracy.
    private const double UntaggedShare = 1.0 / 3;

    /// <summary>
    /// Creates the examples of some problems. Only a problem's index decides whether its example is careless or untagged.
    /// </summary>
    public static IReadOnlyList<SupervisedExample> Examples(IReadOnlyList<WordProblem> problems) =>
        [.. problems.Select((problem, i) => new SupervisedExample(problem.ToPrompt(), Completion(problem, i)))];

    private static string Completion(WordProblem problem, int place)
    {
        string completion = CounterRandom.Uniform(key: 1, counter: place) < CarelessShare ? Careless(problem) : problem.ToCompletion();
        return CounterRandom.Uniform(key: 2, counter: place) < UntaggedShare
            ? completion.Replace("<reasoning>\n", "", StringComparison.Ordinal).Replace("</reasoning>\n", "", StringComparison.Ordinal)
            : completion;
    }

    private static string Careless(WordProblem problem)
    {
        if (problem.Steps < 2)
        {
            return problem.ToCompletion(); // there is nothing to omit
        }

        string[] lines = problem.Solution.Split('\n'); // one calculation per line, and the answer
        int answer = int.Parse(LastResult().Match(lines[^3]).Groups[1].ValueSpan, CultureInfo.InvariantCulture);
        string solution = string.Create(CultureInfo.InvariantCulture, $"{string.Join('\n', lines[..^2])}\n#### {answer}");
        return (problem with { Solution = solution, Answer = answer }).ToCompletion();
    }

    [GeneratedRegex(@"=([0-9]+)>>", RegexOptions.RightToLeft)]
    private static partial Regex LastResult();
}
