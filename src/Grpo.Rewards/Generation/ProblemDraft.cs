using System.Globalization;
using System.Text;

namespace Grpo.Rewards.Generation;

/// <summary>A question and the steps of its solution, written one sentence and one calculation at a time.</summary>
/// <remarks>Interpolated text is passed as <see cref="FormattableString"/>, so that the current culture never formats a number.</remarks>
internal sealed class ProblemDraft
{
    private readonly StringBuilder _question = new();
    private readonly StringBuilder _lines = new();
    private readonly HashSet<int> _values = [];

    public ProblemDraft(FormattableString question) => Say(question);

    public string Question => _question.ToString();

    public int Steps { get; private set; }

    /// <summary>The result of the last step.</summary>
    public int Answer { get; private set; }

    /// <summary>The operands and results of all steps.</summary>
    public IReadOnlySet<int> Values => _values;

    public string Solution => string.Create(CultureInfo.InvariantCulture, $"{_lines}#### {Answer}");

    /// <summary>Adds a sentence to the question.</summary>
    public ProblemDraft Say(FormattableString sentence)
    {
        _question.Append(_question.Length == 0 ? "" : " ").Append(FormattableString.Invariant(sentence));
        return this;
    }

    /// <summary>
    /// Writes "<paramref name="lead"/> a + b = &lt;&lt;a+b=c&gt;&gt;c <paramref name="unit"/>." A unit of "$" goes before c.
    /// </summary>
    public ProblemDraft Add(string lead, int a, int b, string unit) => Step(lead, a, '+', b, a + b, unit);

    public ProblemDraft Subtract(string lead, int a, int b, string unit) => Step(lead, a, '-', b, a - b, unit);

    public ProblemDraft Multiply(string lead, int a, int b, string unit) => Step(lead, a, '*', b, a * b, unit);

    public ProblemDraft Divide(string lead, int a, int b, string unit)
    {
        if (a % b != 0)
        {
            throw new ArgumentException($"A template divides {a} by {b}, which leaves a remainder. Choose the quotient first.", nameof(b));
        }

        return Step(lead, a, '/', b, a / b, unit);
    }

    private ProblemDraft Step(string lead, int a, char operation, int b, int result, string unit)
    {
        string sign = unit == "$" ? "$" : "";
        string noun = unit == "$" ? "" : " " + unit;
        _lines.Append(CultureInfo.InvariantCulture, $"{lead} {a} {operation} {b} = {sign}<<{a}{operation}{b}={result}>>{result}{noun}.\n");
        _values.UnionWith([a, b, result]);
        Answer = result;
        Steps++;
        return this;
    }
}
