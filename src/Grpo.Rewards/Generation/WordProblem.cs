using System.Globalization;

namespace Grpo.Rewards;

/// <summary>A grade-school word problem with its worked solution, in the form of GSM8K's rows.</summary>
public sealed record WordProblem
{
    /// <summary>
    /// The id: the split, the seed, the range of steps, the index, and a mark if the question has a distractor. It is stable between runs.
    /// </summary>
    /// <remarks>Lists that differ in any of these have different ids, so that the stages of a curriculum can be joined.</remarks>
    public required string Id { get; init; }

    /// <summary>The text of the problem, 11 to 65 words.</summary>
    public required string Question { get; init; }

    /// <summary>
    /// The worked solution: one step per line, each with its calculation as <c>&lt;&lt;48/2=24&gt;&gt;</c>, and <c>#### 24</c>
    /// as the last line.
    /// </summary>
    public required string Solution { get; init; }

    /// <summary>The final number of the solution, 1 to 250.</summary>
    public required int Answer { get; init; }

    /// <summary>The number of calculations in the solution, 1 to 5.</summary>
    public required int Steps { get; init; }

    /// <summary>True if the question states a number that its solution must ignore.</summary>
    public bool HasDistractor { get; init; }

    /// <summary>The system message of the prompt, or null for none.</summary>
    public string? SystemPrompt { get; init; }

    /// <summary>Converts the problem to a prompt.</summary>
    /// <returns>The prompt. Its fields are <c>steps</c>, <c>distractor</c> ("true" or "false") and <c>solution</c>.</returns>
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
    /// Formats the solution as a completion for supervised training, in the form of <see cref="AnswerFormat.TagAnswer"/>.
    /// </summary>
    /// <returns>
    /// The text of the completion: the steps in <c>&lt;reasoning&gt;</c> and the number in <c>&lt;answer&gt;</c>, each tag on its own line.
    /// </returns>
    public string ToCompletion()
    {
        string steps = Solution[..Solution.LastIndexOf("\n####", StringComparison.Ordinal)];
        return $"<reasoning>\n{steps}\n</reasoning>\n<answer>\n{AnswerText}\n</answer>";
    }

    private string AnswerText => Answer.ToString(CultureInfo.InvariantCulture);
}
