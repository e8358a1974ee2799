namespace Grpo.Models.Qwen.Jinja;

/// <summary>Reads what may follow a value: attributes, items, calls, filters and tests.</summary>
internal sealed class PostfixParser(TokenStream stream)
{
    /// <summary>Reads attributes, items and calls after a value.</summary>
    public Expression Subscripts(Expression value, ExpressionParser parser)
    {
        while (true)
        {
            Token token = stream.Current;
            if (token.Is("."))
            {
                stream.Take();
                value = AttributeOf(value, token.At);
            }
            else if (token.Is("["))
            {
                stream.Take();
                value = new Item(value, Key(parser), token.At);
                stream.Expect("]");
            }
            else if (token.Is("("))
            {
                value = value is Attribute attribute && TextMethods.IsUnsupported(attribute.Id)
                    ? throw attribute.At.Error($"the method '{attribute.Id}' of a text is not supported.")
                    : new Call(value, parser.ReadArguments(), token.At);
            }
            else
            {
                return value;
            }
        }
    }

    /// <summary>Reads filters, tests and calls after a value.</summary>
    public Expression FiltersAndTests(Expression value, ExpressionParser parser)
    {
        while (true)
        {
            Token token = stream.Current;
            if (token.Is("|"))
            {
                stream.Take();
                value = Filter(value, parser);
            }
            else if (token.IsName("is"))
            {
                value = Test(value, parser);
            }
            else if (token.Is("("))
            {
                value = new Call(value, parser.ReadArguments(), token.At);
            }
            else
            {
                return value;
            }
        }
    }

    /// <summary>Reads a filter without a value, and the filters that follow it.</summary>
    public Filtered Filters(ExpressionParser parser)
    {
        Filtered filter = Filter(null, parser);
        while (stream.Skip("|"))
        {
            filter = Filter(filter, parser);
        }

        return filter;
    }

    private Expression AttributeOf(Expression value, Mark at)
    {
        Token name = stream.Take();
        return name.Kind switch
        {
            TokenKind.Name => new Attribute(value, name.Text, at),
            TokenKind.Integer => new Item(value, new Constant(ExpressionParser.Number(name), name.At), at),
            _ => throw name.At.Error($"a name or a number is expected after '.', not {name.Shown}."),
        };
    }

    private Expression Key(ExpressionParser parser)
    {
        Mark at = stream.Current.At;
        Expression first = Subscript(parser);
        if (!stream.Current.Is(","))
        {
            return first;
        }

        var items = new List<Expression> { first };
        while (stream.Skip(",") && !stream.Current.Is("]"))
        {
            items.Add(Subscript(parser));
        }

        return new TupleLiteral(items, at);
    }

    private Expression Subscript(ExpressionParser parser)
    {
        Mark at = stream.Current.At;
        Expression? start = stream.Current.Is(":") ? null : parser.Read();
        if (!stream.Skip(":"))
        {
            return start!;
        }

        Expression? stop = stream.Current.Is(":") || IsSliceEnd() ? null : parser.Read();
        Expression? step = stream.Skip(":") && !IsSliceEnd() ? parser.Read() : null;
        return new Slice(start, stop, step, at);
    }

    private bool IsSliceEnd() => stream.Current.Is("]") || stream.Current.Is(",");

    private Filtered Filter(Expression? value, ExpressionParser parser)
    {
        Token name = stream.Expect(TokenKind.Name, "the name of a filter");
        if (!FilterTable.Contains(name.Text))
        {
            throw name.At.Error($"the filter '{name.Text}' is not supported. Supported are {FilterTable.Names}.");
        }

        ArgumentList arguments = stream.Current.Is("(") ? parser.ReadArguments() : ArgumentList.None;
        CheckNames(name.Text, arguments);
        return new Filtered(value, name.Text, arguments, name.At);
    }

    // map('trim') and select('defined') name another filter or test.
    private static void CheckNames(string filter, ArgumentList arguments)
    {
        int place = filter switch { "map" or "select" or "reject" => 0, "selectattr" or "rejectattr" => 1, _ => -1 };
        if (place < 0 || place >= arguments.Positional.Count || arguments.Positional[place] is not Constant { Value: string name } constant)
        {
            return;
        }

        if (filter == "map" ? !FilterTable.Contains(name) : !TestTable.Contains(name))
        {
            throw constant.At.Error($"the {(filter == "map" ? "filter" : "test")} '{name}' is not supported.");
        }
    }

    private Expression Test(Expression value, ExpressionParser parser)
    {
        Mark at = stream.Take().At;
        bool isNegated = stream.SkipName("not");
        Token name = stream.Expect(TokenKind.Name, "the name of a test");
        if (!TestTable.Contains(name.Text))
        {
            throw name.At.Error($"the test '{name.Text}' is not supported. Supported are {TestTable.Names}.");
        }

        var test = new Tested(value, name.Text, TestArguments(parser), at);
        return isNegated ? new Not(test, at) : test;
    }

    private ArgumentList TestArguments(ExpressionParser parser)
    {
        Token next = stream.Current;
        if (next.Is("("))
        {
            return parser.ReadArguments();
        }

        bool isValue = next.Kind is TokenKind.Text or TokenKind.Integer or TokenKind.Float || next.Is("[") || next.Is("{")
            || (next.Kind == TokenKind.Name && next.Text is not ("else" or "or" or "and"));
        if (!isValue)
        {
            return ArgumentList.None;
        }

        return next.IsName("is")
            ? throw next.At.Error("a test follows a test. Join them with 'and'.")
            : new ArgumentList([Subscripts(parser.Primary(), parser)], []);
    }
}
