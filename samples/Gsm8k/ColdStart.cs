using System.Globalization;
using System.Text.RegularExpressions;
using Grpo.Rewards;

namespace Grpo.Samples.Gsm8k;

/// <summary>
/// The examples that the tiny model imitates before GRPO. Most of them are careless: they leave the last calculation out and give the
/// result of the one before. Independently, a third lacks the tags around the reasoning. So the model knows how to solve a problem and how
/// to write it down, and mostly does not do one and sometimes not the other, which is what reinforcement can change.
/// </summary>
internal static partial class ColdStart
{
    // Above one half, so that greedy decoding is careless too; low enough that nearly every group of 8 holds a careful completion.
    private const double CarelessShare = 0.7;

    // The answer is still found, so that a reward for the form alone has something to change and nothing to do with being right.
    private const double UntaggedShare = 1.0 / 3;

    /// <summary>The examples of some problems; which are careless or untagged depends on the problem's place alone.</summary>
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
            return problem.ToCompletion(); // nothing to leave out
        }

        string[] lines = problem.Solution.Split('\n'); // the calculations, one a line, and the answer
        int answer = int.Parse(LastResult().Match(lines[^3]).Groups[1].ValueSpan, CultureInfo.InvariantCulture);
        string solution = string.Create(CultureInfo.InvariantCulture, $"{string.Join('\n', lines[..^2])}\n#### {answer}");
        return (problem with { Solution = solution, Answer = answer }).ToCompletion();
    }

    [GeneratedRegex(@"=([0-9]+)>>", RegexOptions.RightToLeft)]
    private static partial Regex LastResult();
}
