using System.Globalization;
using System.Text;

namespace Grpo.Rewards;

/// <summary>A question and the steps of its solution, written one calculation at a time.</summary>
/// <remarks>Interpolated text comes in as <see cref="FormattableString"/>, so that no number is ever formatted with the current culture.</remarks>
internal sealed class ProblemDraft(FormattableString question)
{
    private readonly StringBuilder _lines = new();

    public string Question { get; } = FormattableString.Invariant(question);

    public int Steps { get; private set; }

    /// <summary>The result of the last step.</summary>
    public int Answer { get; private set; }

    public string Solution => string.Create(CultureInfo.InvariantCulture, $"{_lines}#### {Answer}");

    /// <summary>Writes "<paramref name="lead"/> a + b = &lt;&lt;a+b=c&gt;&gt;c <paramref name="unit"/>."; a unit of "$" goes in front of c.</summary>
    public ProblemDraft Add(string lead, int a, int b, string unit) => Step(lead, a, '+', b, a + b, unit);

    public ProblemDraft Subtract(string lead, int a, int b, string unit) => Step(lead, a, '-', b, a - b, unit);

    public ProblemDraft Multiply(string lead, int a, int b, string unit) => Step(lead, a, '*', b, a * b, unit);

    public ProblemDraft Divide(string lead, int a, int b, string unit)
    {
        if (a % b != 0)
        {
            throw new ArgumentException($"A template divides {a} by {b}, which leaves a remainder. Draw the quotient first.", nameof(b));
        }

        return Step(lead, a, '/', b, a / b, unit);
    }

    private ProblemDraft Step(string lead, int a, char operation, int b, int result, string unit)
    {
        string sign = unit == "$" ? "$" : "";
        string noun = unit == "$" ? "" : " " + unit;
        _lines.Append(CultureInfo.InvariantCulture, $"{lead} {a} {operation} {b} = {sign}<<{a}{operation}{b}={result}>>{result}{noun}.\n");
        Answer = result;
        Steps++;
        return this;
    }
}
