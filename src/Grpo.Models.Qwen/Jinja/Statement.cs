namespace Grpo.Models.Qwen.Jinja;

/// <summary>A statement of a template.</summary>
/// <param name="At">The place, for error messages.</param>
internal abstract record Statement(Mark At);

/// <summary>Text outside of tags.</summary>
internal sealed record TextOutput(string Text, Mark At) : Statement(At);

/// <summary>An expression in <c>{{ }}</c>.</summary>
internal sealed record ValueOutput(Expression Value, Mark At) : Statement(At);

/// <summary>Conditions with their bodies, and the body without a condition.</summary>
internal sealed record If(
    IReadOnlyList<(Expression Condition, IReadOnlyList<Statement> Body)> Branches, IReadOnlyList<Statement> Else, Mark At) : Statement(At);

/// <summary>A loop with an optional condition on the elements, and a body for no elements.</summary>
internal sealed record For(
    Target Target, Expression Source, Expression? Condition, IReadOnlyList<Statement> Body, IReadOnlyList<Statement> Else, Mark At)
    : Statement(At);

/// <summary>Ends a loop, or goes on with its next element.</summary>
internal sealed record Jump(bool IsBreak, Mark At) : Statement(At);

/// <summary><c>set target = value</c>.</summary>
internal sealed record Assign(Target Target, Expression Value, Mark At) : Statement(At);

/// <summary><c>set target</c> … <c>endset</c>, with an optional filter.</summary>
internal sealed record AssignBlock(Target Target, Filtered? Filter, IReadOnlyList<Statement> Body, Mark At) : Statement(At);

/// <summary>The parameters and the body of a macro or of a call block.</summary>
internal sealed record MacroDefinition(
    string Id, IReadOnlyList<(string Name, Expression? Default)> Parameters, IReadOnlyList<Statement> Body, bool UsesCaller, Mark At);

/// <summary>Defines a macro.</summary>
internal sealed record Macro(MacroDefinition Definition, Mark At) : Statement(At);

/// <summary><c>call(parameters) macro(arguments)</c> … <c>endcall</c>.</summary>
internal sealed record CallBlock(MacroDefinition Caller, Call Call, Mark At) : Statement(At);

/// <summary><c>filter name</c> … <c>endfilter</c>.</summary>
internal sealed record FilterBlock(Filtered Filter, IReadOnlyList<Statement> Body, Mark At) : Statement(At);

/// <summary><c>with a=1, b=2</c> … <c>endwith</c>.</summary>
internal sealed record With(IReadOnlyList<(Target Target, Expression Value)> Values, IReadOnlyList<Statement> Body, Mark At)
    : Statement(At);

/// <summary><c>generation</c> … <c>endgeneration</c>: text that the assistant wrote.</summary>
internal sealed record Generation(IReadOnlyList<Statement> Body, Mark At) : Statement(At);

/// <summary>The left side of an assignment.</summary>
internal abstract record Target(Mark At);

/// <summary>A variable.</summary>
internal sealed record NameTarget(string Id, Mark At) : Target(At);

/// <summary>An attribute of a namespace.</summary>
internal sealed record NamespaceTarget(string Id, string Attribute, Mark At) : Target(At);

/// <summary>Several targets, among which the elements of the value are divided.</summary>
internal sealed record TupleTarget(IReadOnlyList<Target> Items, Mark At) : Target(At);
