namespace Grpo.Models.Qwen.Jinja;

/// <summary>An expression of a template.</summary>
/// <param name="At">The place, for error messages.</param>
internal abstract record Expression(Mark At);

/// <summary>A literal.</summary>
internal sealed record Constant(object? Value, Mark At) : Expression(At);

/// <summary>A variable.</summary>
internal sealed record Name(string Id, Mark At) : Expression(At);

/// <summary>A list in brackets.</summary>
internal sealed record ListLiteral(IReadOnlyList<Expression> Items, Mark At) : Expression(At);

/// <summary>Several expressions with commas between them.</summary>
internal sealed record TupleLiteral(IReadOnlyList<Expression> Items, Mark At) : Expression(At);

/// <summary>A dictionary in braces.</summary>
internal sealed record DictLiteral(IReadOnlyList<(Expression Key, Expression Value)> Items, Mark At) : Expression(At);

/// <summary><c>target.name</c>.</summary>
internal sealed record Attribute(Expression Target, string Id, Mark At) : Expression(At);

/// <summary><c>target[key]</c>.</summary>
internal sealed record Item(Expression Target, Expression Key, Mark At) : Expression(At);

/// <summary><c>start:stop:step</c> inside brackets. Each part may be missing.</summary>
internal sealed record Slice(Expression? Start, Expression? Stop, Expression? Step, Mark At) : Expression(At);

/// <summary>The arguments of a call, a filter or a test.</summary>
/// <param name="Positional">The arguments without a name.</param>
/// <param name="Keywords">The arguments with a name.</param>
internal sealed record ArgumentList(IReadOnlyList<Expression> Positional, IReadOnlyList<(string Name, Expression Value)> Keywords)
{
    /// <summary>The elements after <c>*</c>, which are further arguments; null if there are none.</summary>
    public Expression? Rest { get; init; }

    /// <summary>The dictionary after <c>**</c>, which are further arguments with names; null if there is none.</summary>
    public Expression? Named { get; init; }

    /// <summary>No arguments.</summary>
    public static ArgumentList None { get; } = new([], []);
}

/// <summary>A call of a macro, a method or a function.</summary>
internal sealed record Call(Expression Target, ArgumentList Arguments, Mark At) : Expression(At);

/// <summary><c>value | name(arguments)</c>. The value is null at the start of a filter block.</summary>
internal sealed record Filtered(Expression? Value, string Id, ArgumentList Arguments, Mark At) : Expression(At);

/// <summary><c>value is name(arguments)</c>.</summary>
internal sealed record Tested(Expression Value, string Id, ArgumentList Arguments, Mark At) : Expression(At);

/// <summary><c>not value</c>.</summary>
internal sealed record Not(Expression Value, Mark At) : Expression(At);

/// <summary><c>left and right</c> or <c>left or right</c>.</summary>
internal sealed record Logical(bool IsAnd, Expression Left, Expression Right, Mark At) : Expression(At);

/// <summary>A plus or a minus before a number.</summary>
internal sealed record Signed(bool IsMinus, Expression Value, Mark At) : Expression(At);

/// <summary>An arithmetic operation.</summary>
internal sealed record Arithmetic(string Operator, Expression Left, Expression Right, Mark At) : Expression(At);

/// <summary>Texts joined with <c>~</c>.</summary>
internal sealed record Concatenation(IReadOnlyList<Expression> Parts, Mark At) : Expression(At);

/// <summary>A chain of comparisons. The operators include <c>in</c> and <c>not in</c>.</summary>
internal sealed record Comparison(Expression First, IReadOnlyList<(string Operator, Expression Right)> Rest, Mark At) : Expression(At);

/// <summary><c>then if condition else otherwise</c>. Without an else part, the value is undefined.</summary>
internal sealed record Conditional(Expression Condition, Expression Then, Expression? Otherwise, Mark At) : Expression(At);
