using System.Globalization;

namespace Grpo.Rewards;

/// <summary>
/// Generates grade-school word problems in the form of GSM8K: everyday sentences, one to four exact calculations, a worked
/// solution. Small numbers and a small, regular vocabulary, so that a model of a million parameters can learn them.
/// </summary>
public static class WordProblems
{
    private const int TestShare = 8;

    // A draw lands in Test with probability 1/8: 2,000 misses in a row have probability 1e-116.
    private const int MaxDraws = 2_000;

    /// <summary>
    /// Generates problems. The i-th is a function of seed, split, range of steps and i alone: a longer list begins with the shorter one.
    /// </summary>
    /// <param name="options">Which and how many; null for the defaults.</param>
    /// <returns><see cref="WordProblemOptions.Count"/> problems. Questions may repeat in a long list; one never occurs in both splits.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    public static IReadOnlyList<WordProblem> Generate(WordProblemOptions? options = null)
    {
        options ??= new WordProblemOptions();
        options.Validate();
        var problems = new WordProblem[options.Count];
        for (int index = 0; index < problems.Length; index++)
        {
            problems[index] = Generate(options, index);
        }

        return problems;
    }

    /// <summary>The problems as prompts, in the same order.</summary>
    /// <param name="problems">Generated problems.</param>
    public static IReadOnlyList<Prompt> ToPrompts(this IReadOnlyList<WordProblem> problems)
    {
        ArgumentNullException.ThrowIfNull(problems);
        return [.. problems.Select(problem => problem.ToPrompt())];
    }

    /// <summary>The split that a question belongs to.</summary>
    /// <param name="question">The text of the question.</param>
    internal static ProblemSplit SplitOf(string question)
    {
        // FNV-1a, then a finaliser: string.GetHashCode differs from run to run.
        ulong hash = 14695981039346656037;
        foreach (char character in question)
        {
            hash = (hash ^ character) * 1099511628211;
        }

        return CounterRandom.Mix(hash) % TestShare == 0 ? ProblemSplit.Test : ProblemSplit.Train;
    }

    private static WordProblem Generate(WordProblemOptions options, int index)
    {
        var random = new ProblemRandom(options.Seed, (ulong)options.Split, (ulong)index);
        for (int draw = 0; draw < MaxDraws; draw++)
        {
            int steps = random.Between(options.MinSteps, options.MaxSteps);
            ProblemDraft draft = random.Pick(ProblemTemplates.WithSteps(steps))(random);
            if (SplitOf(draft.Question) == options.Split)
            {
                string split = options.Split == ProblemSplit.Test ? "test" : "train";
                return new WordProblem
                {
                    Id = string.Create(CultureInfo.InvariantCulture, $"word-problems/{split}/{options.Seed}/{index}"),
                    Question = draft.Question,
                    Solution = draft.Solution,
                    Answer = draft.Answer,
                    Steps = draft.Steps,
                    SystemPrompt = options.SystemPrompt,
                };
            }
        }

        throw new InvalidOperationException($"No problem of the split {options.Split} in {MaxDraws} draws: the templates are too few.");
    }
}
