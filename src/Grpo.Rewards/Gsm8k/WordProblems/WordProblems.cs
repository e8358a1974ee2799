using System.Globalization;

namespace Grpo.Rewards;

/// <summary>
/// Generates grade-school word problems in the form of GSM8K: everyday sentences, one to five exact calculations, a worked
/// solution. Small numbers and a small, regular vocabulary, so that a model of a million parameters can learn them.
/// </summary>
public static class WordProblems
{
    private const int TestShare = 8;
    private const int DistractorStream = 1;
    private const int DistractorResolution = 1 << 24;

    // A draw lands in Test with probability 1/8 and is new unless the list is very long: 2,000 misses in a row do not happen by chance.
    private const int MaxDraws = 2_000;

    /// <summary>
    /// Generates problems. They depend on seed, split, range of steps and share of distractors alone: a longer list begins with the shorter one.
    /// </summary>
    /// <param name="options">Which and how many; null for the defaults.</param>
    /// <returns><see cref="WordProblemOptions.Count"/> problems. No question occurs twice in a list or in both splits, also when distractors are left out.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    /// <exception cref="InvalidOperationException">There are fewer different questions of the range of steps than were asked for.</exception>
    public static IReadOnlyList<WordProblem> Generate(WordProblemOptions? options = null)
    {
        options ??= new WordProblemOptions();
        options.Validate();
        var problems = new WordProblem[options.Count];
        var seen = new HashSet<string>(StringComparer.Ordinal);
        for (int index = 0; index < problems.Length; index++)
        {
            problems[index] = Generate(options, index, seen);
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

    private static WordProblem Generate(WordProblemOptions options, int index, HashSet<string> seen)
    {
        var random = new ProblemRandom(options.Seed, (ulong)options.Split, (ulong)index);
        for (int draw = 0; draw < MaxDraws; draw++)
        {
            int steps = random.Between(options.MinSteps, options.MaxSteps);
            ProblemDraft draft = random.Pick(ProblemTemplates.WithSteps(steps))(random);

            // Without its distractor: a question of one split with another distractor would be the same problem.
            if (SplitOf(draft.Question) == options.Split && seen.Add(draft.Question))
            {
                return Finish(options, index, draft);
            }
        }

        throw new InvalidOperationException(
            $"Problem {index} of the split {options.Split} with {options.MinSteps} to {options.MaxSteps} steps: {MaxDraws} draws gave no new question. Ask for fewer problems or more numbers of steps.");
    }

    private static WordProblem Finish(WordProblemOptions options, int index, ProblemDraft draft)
    {
        // Numbers of their own, so that the share of distractors changes nothing else.
        var random = new ProblemRandom(options.Seed, (ulong)options.Split, (ulong)index, DistractorStream);
        bool distracted = random.Between(0, DistractorResolution - 1) < options.Distractors * DistractorResolution;
        string split = options.Split == ProblemSplit.Test ? "test" : "train";
        return new WordProblem
        {
            Id = string.Create(
                CultureInfo.InvariantCulture,
                $"word-problems/{split}/{options.Seed}/{options.MinSteps}-{options.MaxSteps}/{index}{(distracted ? "/distractor" : "")}"),
            Question = distracted ? ProblemDistractors.Insert(draft, random) : draft.Question,
            Solution = draft.Solution,
            Answer = draft.Answer,
            Steps = draft.Steps,
            HasDistractor = distracted,
            SystemPrompt = options.SystemPrompt,
        };
    }
}
