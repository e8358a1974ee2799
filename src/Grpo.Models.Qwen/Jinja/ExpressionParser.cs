using System.Globalization;
using System.Numerics;
using System.Text;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>Reads expressions with Jinja's precedence of operators.</summary>
internal sealed class ExpressionParser(TokenStream stream)
{
    private static readonly string[] Comparisons = ["==", "!=", "<", "<=", ">", ">="];
    private readonly PostfixParser _postfix = new(stream);

    /// <summary>Reads an expression, including <c>a if b else c</c>.</summary>
    public Expression Read() => Nested(() =>
    {
        Expression value = Or();
        while (stream.Current.IsName("if"))
        {
            Mark at = stream.Take().At;
            Expression condition = Or();
            value = new Conditional(condition, value, stream.SkipName("else") ? Read() : null, at);
        }

        return value;
    });

    /// <summary>Reads one expression, or several with commas between them.</summary>
    /// <param name="isConditional">True if <c>if</c> belongs to the expression.</param>
    /// <param name="isEmptyAllowed">True inside parentheses, where nothing is an empty tuple.</param>
    public Expression ReadTuple(bool isConditional = true, bool isEmptyAllowed = false)
    {
        Mark at = stream.Current.At;
        var items = new List<Expression>();
        bool isTuple = false;
        while (!IsTupleEnd())
        {
            items.Add(isConditional ? Read() : Nested(Or));
            if (!stream.Skip(","))
            {
                break;
            }

            isTuple = true;
        }

        return isTuple || (items.Count == 0 && isEmptyAllowed) ? new TupleLiteral(items, at)
            : items.Count == 1 ? items[0]
            : throw stream.Unexpected("an expression");
    }

    /// <summary>Reads a filter and those that follow it. The first has no value.</summary>
    public Filtered ReadFilters() => _postfix.Filters(this);

    /// <summary>Reads the arguments in parentheses.</summary>
    internal ArgumentList ReadArguments()
    {
        stream.Expect("(");
        var positional = new List<Expression>();
        var keywords = new List<(string, Expression)>();
        Expression? rest = null, named = null;
        for (bool isFirst = true; !stream.Current.Is(")"); isFirst = false)
        {
            if (!isFirst)
            {
                stream.Expect(",");
                if (stream.Current.Is(")"))
                {
                    break;
                }
            }

            bool isNamed = stream.Current.Kind == TokenKind.Name && stream.Following.Is("=");
            if (named is not null || (!isNamed && !stream.Current.Is("**") && (rest is not null || keywords.Count > 0)))
            {
                throw stream.Current.At.Error("an argument without a name follows one with a name. Put it before.");
            }

            if (stream.Skip("*"))
            {
                rest = Read();
            }
            else if (stream.Skip("**"))
            {
                named = Read();
            }
            else if (isNamed)
            {
                string name = stream.Take().Text;
                stream.Take();
                keywords.Add((name, Read()));
            }
            else
            {
                positional.Add(Read());
            }
        }

        stream.Expect(")");
        return new ArgumentList(positional, keywords) { Rest = rest, Named = named };
    }

    /// <summary>Reads a name, a literal, or an expression in brackets.</summary>
    internal Expression Primary()
    {
        Token token = stream.Current;
        switch (token.Kind)
        {
            case TokenKind.Name:
                stream.Take();
                return token.Text switch
                {
                    "true" or "True" => new Constant(true, token.At),
                    "false" or "False" => new Constant(false, token.At),
                    "none" or "None" => new Constant(null, token.At),
                    _ => new Name(token.Text, token.At),
                };
            case TokenKind.Text:
                var text = new StringBuilder(stream.Take().Text);
                while (stream.Current.Kind == TokenKind.Text)
                {
                    text.Append(stream.Take().Text);
                }

                return new Constant(text.ToString(), token.At);
            case TokenKind.Integer or TokenKind.Float:
                return new Constant(Number(stream.Take()), token.At);
            case TokenKind.Operator when token.Text == "(":
                stream.Take();
                Expression inner = ReadTuple(isEmptyAllowed: true);
                stream.Expect(")");
                return inner;
            case TokenKind.Operator when token.Text == "[":
                stream.Take();
                return new ListLiteral(Sequence("]", Read), token.At);
            case TokenKind.Operator when token.Text == "{":
                stream.Take();
                return new DictLiteral(Sequence("}", Pair), token.At);
            default:
                throw stream.Unexpected("an expression");
        }
    }

    private (Expression, Expression) Pair()
    {
        Expression key = Read();
        stream.Expect(":");
        return (key, Read());
    }

    private List<T> Sequence<T>(string end, Func<T> read)
    {
        var items = new List<T>();
        while (!stream.Current.Is(end))
        {
            if (items.Count > 0)
            {
                stream.Expect(",");
                if (stream.Current.Is(end))
                {
                    break;
                }
            }

            items.Add(read());
        }

        stream.Expect(end);
        return items;
    }

    internal static object Number(Token token)
    {
        string digits = token.Text.Replace("_", "", StringComparison.Ordinal);
        return token.Kind == TokenKind.Float ? double.Parse(digits, CultureInfo.InvariantCulture)
            : digits.Length <= JinjaLimits.IntegerDigits ? BigInteger.Parse(digits, CultureInfo.InvariantCulture)
            : throw token.At.Error($"the number has {digits.Length} digits; {JinjaLimits.IntegerDigits} are allowed.");
    }

    private bool IsTupleEnd() => stream.Current.Kind is TokenKind.VariableEnd or TokenKind.BlockEnd || stream.Current.Is(")");

    private Expression Or() => LogicalChain("or", () => LogicalChain("and", Negation));

    private Expression LogicalChain(string name, Func<Expression> operand)
    {
        Expression left = operand();
        while (stream.Current.IsName(name))
        {
            Mark at = stream.Take().At;
            left = new Logical(name == "and", left, operand(), at);
        }

        return left;
    }

    private Expression Negation()
    {
        if (!stream.Current.IsName("not"))
        {
            return Compare();
        }

        Mark at = stream.Take().At;
        return new Not(Nested(Negation), at);
    }

    private Expression Compare()
    {
        Mark at = stream.Current.At;
        Expression first = Sum();
        var rest = new List<(string, Expression)>();
        while (Comparator() is { } comparator)
        {
            rest.Add((comparator, Sum()));
        }

        return rest.Count == 0 ? first : new Comparison(first, rest, at);
    }

    private string? Comparator()
    {
        Token token = stream.Current;
        if ((token.Kind == TokenKind.Operator && Comparisons.Contains(token.Text)) || token.IsName("in"))
        {
            return stream.Take().Text;
        }

        if (token.IsName("not") && stream.Following.IsName("in"))
        {
            stream.Take();
            stream.Take();
            return "not in";
        }

        return null;
    }

    private Expression Sum() => Chain(["+", "-"], Concatenate);

    private Expression Concatenate()
    {
        Mark at = stream.Current.At;
        Expression first = Product();
        if (!stream.Current.Is("~"))
        {
            return first;
        }

        var parts = new List<Expression> { first };
        while (stream.Skip("~"))
        {
            parts.Add(Product());
        }

        return new Concatenation(parts, at);
    }

    private Expression Product() => Chain(["*", "/", "//", "%"], () => Chain(["**"], () => Unary(withFilters: true)));

    private Expression Chain(string[] operators, Func<Expression> operand)
    {
        Expression left = operand();
        while (stream.Current.Kind == TokenKind.Operator && operators.Contains(stream.Current.Text))
        {
            Token token = stream.Take();
            left = new Arithmetic(token.Text, left, operand(), token.At);
        }

        return left;
    }

    private Expression Unary(bool withFilters)
    {
        Token token = stream.Current;
        Expression value;
        if (token.Is("-") || token.Is("+"))
        {
            stream.Take();
            value = new Signed(token.Text == "-", Nested(() => Unary(withFilters: false)), token.At);
        }
        else
        {
            value = Primary();
        }

        value = _postfix.Subscripts(value, this);
        return withFilters ? _postfix.FiltersAndTests(value, this) : value;
    }

    private Expression Nested(Func<Expression> read)
    {
        stream.Enter();
        Expression value = read();
        stream.Leave();
        return value;
    }
}
