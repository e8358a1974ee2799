namespace Grpo.Rewards;

/// <summary>Which word problems to generate.</summary>
public sealed record WordProblemOptions
{
    /// <summary>Another seed gives other problems.</summary>
    /// <value>Default 0.</value>
    public ulong Seed { get; set; }

    /// <summary>Number of problems.</summary>
    /// <value>1 to 1,000,000; default 1,000.</value>
    public int Count { get; set; } = 1_000;

    /// <summary>Fewest calculations that a problem takes.</summary>
    /// <value>1 to 5, at most <see cref="MaxSteps"/>; default 1.</value>
    public int MinSteps { get; set; } = 1;

    /// <summary>Most calculations that a problem takes. The numbers of steps between the two are equally frequent.</summary>
    /// <value>1 to 5, at least <see cref="MinSteps"/>; default 5.</value>
    public int MaxSteps { get; set; } = 5;

    /// <summary>Share of the problems with a distractor: a sentence with a number that has nothing to do with the question.</summary>
    /// <value>0 to 1; default 0. Another share changes which questions have one, and nothing else of the problems.</value>
    public double Distractors { get; set; }

    /// <summary>The part to draw from.</summary>
    /// <value>Default <see cref="ProblemSplit.Train"/>.</value>
    public ProblemSplit Split { get; set; } = ProblemSplit.Train;

    /// <summary>The system message of the prompts, for example <see cref="Gsm8kPrompts.TagAnswer"/>; null for none.</summary>
    /// <value>Default null: a small model learns the form from <see cref="WordProblem.ToCompletion"/> and need not read it each time.</value>
    public string? SystemPrompt { get; set; }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">Names the property, its value and its range.</exception>
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
