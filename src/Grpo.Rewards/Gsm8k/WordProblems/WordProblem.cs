using System.Globalization;

namespace Grpo.Rewards;

/// <summary>A grade-school word problem with its worked solution, in the form of GSM8K.</summary>
public sealed record WordProblem
{
    /// <summary>
    /// Names the part, the seed, the range of steps, the index and whether a distractor was put in; stable between runs, and different in
    /// lists that differ in any of these, so that the stages of a curriculum can be joined.
    /// </summary>
    public required string Id { get; init; }

    /// <summary>The problem, 11 to 65 words.</summary>
    public required string Question { get; init; }

    /// <summary>The steps, one a line, each with its calculation as <c>&lt;&lt;48/2=24&gt;&gt;</c>; the last line is <c>#### 24</c>.</summary>
    public required string Solution { get; init; }

    /// <summary>The final number, 1 to 250.</summary>
    public required int Answer { get; init; }

    /// <summary>Calculations in the solution, 1 to 5.</summary>
    public required int Steps { get; init; }

    /// <summary>Whether the question states a number that its solution must ignore.</summary>
    public bool HasDistractor { get; init; }

    /// <summary>The system message of <see cref="ToPrompt"/>; null for none.</summary>
    public string? SystemPrompt { get; init; }

    /// <summary>The problem as a prompt; its fields are <c>steps</c>, <c>distractor</c> ("true" or "false") and <c>solution</c>.</summary>
    public Prompt ToPrompt() => Prompt.Create(Id, Question, AnswerText, SystemPrompt) with
    {
        Fields = new Dictionary<string, string>
        {
            ["steps"] = Steps.ToString(CultureInfo.InvariantCulture),
            ["distractor"] = HasDistractor ? "true" : "false",
            ["solution"] = Solution,
        },
    };

    /// <summary>
    /// The solution as a completion for supervised training: the steps in <c>&lt;reasoning&gt;</c>, the number in
    /// <c>&lt;answer&gt;</c>, each tag on its own line. <see cref="AnswerFormat.TagAnswer"/> reads it.
    /// </summary>
    public string ToCompletion()
    {
        string steps = Solution[..Solution.LastIndexOf("\n####", StringComparison.Ordinal)];
        return $"<reasoning>\n{steps}\n</reasoning>\n<answer>\n{AnswerText}\n</answer>";
    }

    private string AnswerText => Answer.ToString(CultureInfo.InvariantCulture);
}
