using System.Globalization;
using Grpo.Rewards.Generation;

namespace Grpo.Rewards;

/// <summary>The split of the word problems. A hash of the question decides its split, so no question is in both.</summary>
public enum ProblemSplit
{
    /// <summary>The training split: seven questions in eight.</summary>
    Train,

    /// <summary>The held-out split: one question in eight.</summary>
    Test,
}

/// <summary>
/// The options of <see cref="WordProblems.Generate(WordProblemOptions)"/>: the number, the length and the split of the problems.
/// </summary>
public sealed record WordProblemOptions
{
    /// <summary>The seed of the generator. Different seeds give different problems.</summary>
    /// <value>Default 0.</value>
    public ulong Seed { get; set; }

    /// <summary>The number of problems to generate.</summary>
    /// <value>1 to 1,000,000. Default 1,000.</value>
    public int Count { get; set; } = 1_000;

    /// <summary>The smallest number of calculations in a problem.</summary>
    /// <value>1 to 5, at most <see cref="MaxSteps"/>. Default 1.</value>
    public int MinSteps { get; set; } = 1;

    /// <summary>
    /// The largest number of calculations in a problem. All numbers from <see cref="MinSteps"/> to this one are equally frequent.
    /// </summary>
    /// <value>1 to 5, at least <see cref="MinSteps"/>. Default 5.</value>
    public int MaxSteps { get; set; } = 5;

    /// <summary>The share of problems with a distractor: a sentence with a number that has nothing to do with the question.</summary>
    /// <value>0 to 1. Default 0. A different share changes only which questions have a distractor.</value>
    public double Distractors { get; set; }

    /// <summary>The split of the problems.</summary>
    /// <value>Default <see cref="ProblemSplit.Train"/>.</value>
    public ProblemSplit Split { get; set; } = ProblemSplit.Train;

    /// <summary>The system message of the prompts, for example <see cref="Gsm8kPrompts.TagAnswer"/>, or null for none.</summary>
    /// <value>
    /// Default null. A small model learns the form of the answer from <see cref="WordProblem.ToCompletion"/> and needs no instruction.
    /// </value>
    public string? SystemPrompt { get; set; }

    /// <summary>Throws if a value is outside its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A value is outside its range. The message names the property and the range.
    /// </exception>
    public void Validate()
    {
        Require(Count is >= 1 and <= 1_000_000, nameof(Count), Count, "1 to 1000000");
        Require(MinSteps is >= 1 and <= 5, nameof(MinSteps), MinSteps, "1 to 5");
        Require(MaxSteps is >= 1 and <= 5, nameof(MaxSteps), MaxSteps, "1 to 5");
        Require(MinSteps <= MaxSteps, nameof(MinSteps), MinSteps, "at most MaxSteps");
        Require(Distractors is >= 0 and <= 1, nameof(Distractors), Distractors, "0 to 1");
        Require(Enum.IsDefined(Split), nameof(Split), Split, "Train or Test");
    }

    private static void Require(bool condition, string name, object value, string allowed)
    {
        if (!condition)
        {
            throw new ArgumentOutOfRangeException(name, value, $"WordProblemOptions.{name} must be {allowed}.");
        }
    }
}

/// <summary>
/// A generator of grade-school word problems in the form of GSM8K: everyday sentences, one to five exact calculations,
/// and a worked solution.
/// </summary>
/// <remarks>
/// The numbers are small and the vocabulary is small and regular, so that a model of a million parameters can learn them.
/// </remarks>
public static class WordProblems
{
    private const int TestShare = 8;
    private const int DistractorStream = 1;
    private const int DistractorResolution = 1 << 24;

    // A question lands in Test with probability 1/8 and is new unless the list is very long. 2,000 misses in a row do not happen by chance.
    private const int MaxAttempts = 2_000;

    /// <summary>Generates word problems. Equal options give equal problems, and a longer list begins with the shorter one.</summary>
    /// <param name="options">The options, or null for the defaults.</param>
    /// <returns>
    /// <see cref="WordProblemOptions.Count"/> problems. No question occurs twice in a list or in both splits, even without its distractor.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">A value of <paramref name="options"/> is outside its range.</exception>
    /// <exception cref="InvalidOperationException">The range of steps has fewer different questions than requested.</exception>
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

    /// <summary>Converts word problems to prompts, in order.</summary>
    /// <param name="problems">The problems, as <see cref="Generate(WordProblemOptions)"/> returns them.</param>
    /// <returns>One prompt per problem.</returns>
    public static IReadOnlyList<Prompt> ToPrompts(this IReadOnlyList<WordProblem> problems)
    {
        ArgumentNullException.ThrowIfNull(problems);
        return [.. problems.Select(problem => problem.ToPrompt())];
    }

    /// <summary>Returns the split of a question.</summary>
    /// <param name="question">The text of the question without its distractor.</param>
    internal static ProblemSplit SplitOf(string question)
    {
        // FNV-1a and a finalizer, because string.GetHashCode differs from run to run.
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
        for (int attempt = 0; attempt < MaxAttempts; attempt++)
        {
            int steps = random.Between(options.MinSteps, options.MaxSteps);
            ProblemDraft draft = random.Choose(ProblemTemplates.WithSteps(steps))(random);

            // The question is checked without its distractor, because a problem stays the same whatever its distractor.
            if (SplitOf(draft.Question) == options.Split && seen.Add(draft.Question))
            {
                return Finish(options, index, draft);
            }
        }

        throw new InvalidOperationException(
            $"Problem {index} of the split {options.Split} with {options.MinSteps} to {options.MaxSteps} steps: "
            + $"{MaxAttempts} attempts gave no new question. Ask for fewer problems or a wider range of steps.");
    }

    private static WordProblem Finish(WordProblemOptions options, int index, ProblemDraft draft)
    {
        // Distractors have a random stream of their own, so that their share changes nothing else.
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
