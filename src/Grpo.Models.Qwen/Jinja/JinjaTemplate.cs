namespace Grpo.Models.Qwen.Jinja;

/// <summary>A template in the subset of Jinja that chat templates use.</summary>
/// <remarks>
/// It renders as jinja2's immutable sandbox does with <c>trim_blocks</c>, <c>lstrip_blocks</c> and loop controls. A template reaches
/// nothing but its variables and the clock. Constructs that are not supported are refused when the text is parsed.
/// </remarks>
internal sealed class JinjaTemplate
{
    private readonly IReadOnlyList<Statement> _statements;
    private readonly JinjaLimits _limits;

    private JinjaTemplate(string text, IReadOnlyList<Statement> statements, JinjaLimits limits)
    {
        Text = text;
        _statements = statements;
        _limits = limits;
    }

    /// <summary>The text of the template.</summary>
    public string Text { get; }

    /// <summary>Parses a template.</summary>
    /// <exception cref="ChatTemplateException">The text is malformed, or has a construct that is not supported.</exception>
    public static JinjaTemplate Parse(string text, JinjaLimits? limits = null)
    {
        JinjaLimits bounds = limits ?? new JinjaLimits();
        return new JinjaTemplate(text, StatementParser.Parse(text, bounds), bounds);
    }

    /// <summary>Renders the template.</summary>
    /// <param name="variables">The variables, as values of <see cref="JsonValues"/>.</param>
    /// <param name="clock">The clock of <c>strftime_now</c>; null for the system's.</param>
    /// <exception cref="ChatTemplateException">The template raises an exception, misuses a value, or exceeds a bound.</exception>
    public RenderedText Render(IEnumerable<KeyValuePair<string, object?>> variables, TimeProvider? clock = null)
    {
        var run = new Rendering(_limits, clock ?? TimeProvider.System);
        var globals = new Scope(null);
        Globals.AddTo(globals);
        var scope = new Scope(globals);
        foreach ((string name, object? value) in variables)
        {
            scope.Set(name, value);
        }

        var interpreter = new Interpreter(run);
        return interpreter.RenderRoot(_statements, scope);
    }
}

/// <summary>A rendered text.</summary>
/// <param name="Text">The text.</param>
/// <param name="AssistantSpans">
/// The start and the end of each <c>generation</c> block in Unicode code points; the end is exclusive. Empty if the template has none.
/// </param>
internal sealed record RenderedText(string Text, IReadOnlyList<(int Start, int End)> AssistantSpans);
