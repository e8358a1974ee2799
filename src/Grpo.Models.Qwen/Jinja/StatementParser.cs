namespace Grpo.Models.Qwen.Jinja;

/// <summary>Reads the statements of a template.</summary>
internal sealed class StatementParser
{
    private const string Supported =
        "if, for, set, macro, call, filter, with, generation, break, continue, print and raw";

    private readonly TokenStream _stream;
    private readonly ExpressionParser _expressions;
    private int _loops;

    private StatementParser(TokenStream stream)
    {
        _stream = stream;
        _expressions = new ExpressionParser(stream);
    }

    /// <summary>Reads a whole template.</summary>
    /// <exception cref="ChatTemplateException">The text is malformed, or has a construct that is not supported.</exception>
    public static IReadOnlyList<Statement> Parse(string text, JinjaLimits limits)
    {
        if (text.Length > limits.Source)
        {
            throw new Mark(1, 1).Error($"the template has {text.Length} characters; {limits.Source} are allowed.");
        }

        var parser = new StatementParser(new TokenStream(Lexer.Tokenize(text), limits.Nesting));
        IReadOnlyList<Statement> statements = parser.Body([], new Mark(1, 1));
        return statements;
    }

    // Reads up to one of the ending statements, and past the "{%" before it.
    private List<Statement> Body(string[] ends, Mark at)
    {
        var statements = new List<Statement>();
        while (true)
        {
            Token token = _stream.Take();
            switch (token.Kind)
            {
                case TokenKind.Data:
                    statements.Add(new TextOutput(token.Text, token.At));
                    break;
                case TokenKind.VariableBegin:
                    statements.Add(new ValueOutput(_expressions.ReadTuple(), token.At));
                    _stream.Expect(TokenKind.VariableEnd, "'}}'");
                    break;
                case TokenKind.BlockBegin when _stream.Current.Kind == TokenKind.Name && ends.Contains(_stream.Current.Text):
                    return statements;
                case TokenKind.BlockBegin:
                    _stream.Enter();
                    statements.Add(ReadStatement());
                    _stream.Leave();
                    _stream.Expect(TokenKind.BlockEnd, "'%}'");
                    break;
                default:
                    return ends.Length == 0
                        ? statements
                        : throw token.At.Error($"'{{% {ends[^1]} %}}' is missing for the statement in line {at.Line}.");
            }
        }
    }

    private List<Statement> BodyTo(string end, Mark at)
    {
        _stream.Expect(TokenKind.BlockEnd, "'%}'");
        List<Statement> body = Body([end], at);
        _stream.Take();
        return body;
    }

    private Statement ReadStatement()
    {
        Token token = _stream.Expect(TokenKind.Name, "the name of a statement");
        Mark at = token.At;
        return token.Text switch
        {
            "if" => ReadIf(at),
            "for" => ReadFor(at),
            "set" => ReadSet(at),
            "macro" => new Macro(Definition(_stream.Expect(TokenKind.Name, "the name of a macro").Text, "endmacro", at), at),
            "call" => ReadCall(at),
            "filter" => new FilterBlock(_expressions.ReadFilters(), Isolated("endfilter", at), at),
            "with" => ReadWith(at),
            "generation" => new Generation(Isolated("endgeneration", at), at),
            "print" => new ValueOutput(_expressions.ReadTuple(), at),
            "break" or "continue" => _loops > 0
                ? new Jump(token.Text == "break", at)
                : throw at.Error($"the statement '{token.Text}' stands outside of a loop."),
            "else" or "elif" or "endif" or "endfor" or "endset" or "endmacro" or "endcall" or "endfilter" or "endwith"
                or "endgeneration" or "endraw" => throw at.Error($"the statement '{token.Text}' ends nothing that is open."),
            _ => throw at.Error($"the statement '{token.Text}' is not supported. Supported are {Supported}."),
        };
    }

    private If ReadIf(Mark at)
    {
        var branches = new List<(Expression, IReadOnlyList<Statement>)>();
        while (true)
        {
            Expression condition = _expressions.ReadTuple(isConditional: false);
            _stream.Expect(TokenKind.BlockEnd, "'%}'");
            branches.Add((condition, Body(["elif", "else", "endif"], at)));
            switch (_stream.Take().Text)
            {
                case "elif":
                    continue;
                case "else":
                    return new If(branches, BodyTo("endif", at), at);
                default:
                    return new If(branches, [], at);
            }
        }
    }

    private For ReadFor(Mark at)
    {
        Target target = ReadTarget(withNamespace: false);
        if (!_stream.SkipName("in"))
        {
            throw _stream.Unexpected("'in'");
        }

        Expression source = _expressions.ReadTuple(isConditional: false);
        Expression? condition = _stream.SkipName("if") ? _expressions.Read() : null;
        if (_stream.Current.IsName("recursive"))
        {
            throw _stream.Current.At.Error("a 'recursive' loop is not supported. Use a macro that calls itself.");
        }

        _stream.Expect(TokenKind.BlockEnd, "'%}'");
        _loops++;
        List<Statement> body = Body(["else", "endfor"], at);
        _loops--;
        return new For(target, source, condition, body, _stream.Take().Text == "else" ? BodyTo("endfor", at) : [], at);
    }

    private Statement ReadSet(Mark at)
    {
        Target target = ReadTarget(withNamespace: true);
        if (_stream.Skip("="))
        {
            return new Assign(target, _expressions.ReadTuple(), at);
        }

        Filtered? filter = _stream.Skip("|") ? _expressions.ReadFilters() : null;
        return new AssignBlock(target, filter, Isolated("endset", at), at);
    }

    private CallBlock ReadCall(Mark at)
    {
        IReadOnlyList<(string, Expression?)> parameters = _stream.Current.Is("(") ? Parameters() : [];
        Expression call = _expressions.Read();
        return call is Call macro
            ? new CallBlock(new MacroDefinition("caller", parameters, Isolated("endcall", at), UsesCaller: false, at), macro, at)
            : throw at.Error("the statement 'call' needs the call of a macro.");
    }

    private With ReadWith(Mark at)
    {
        var values = new List<(Target, Expression)>();
        while (_stream.Current.Kind != TokenKind.BlockEnd)
        {
            if (values.Count > 0)
            {
                _stream.Expect(",");
            }

            Target target = ReadTarget(withNamespace: false, withTuple: false);
            _stream.Expect("=");
            values.Add((target, _expressions.Read()));
        }

        return new With(values, BodyTo("endwith", at), at);
    }

    private MacroDefinition Definition(string name, string end, Mark at)
    {
        IReadOnlyList<(string, Expression?)> parameters = Parameters();
        int start = _stream.Position;
        List<Statement> body = Isolated(end, at);
        return _stream.HasName("varargs", start) || _stream.HasName("kwargs", start)
            ? throw at.Error($"the macro '{name}' uses 'varargs' or 'kwargs', which are not supported. Name its parameters.")
            : new MacroDefinition(name, parameters, body, _stream.HasName("caller", start), at);
    }

    // A loop outside of a macro or a block with its own output cannot be left from inside.
    private List<Statement> Isolated(string end, Mark at)
    {
        (int loops, _loops) = (_loops, 0);
        List<Statement> body = BodyTo(end, at);
        _loops = loops;
        return body;
    }

    private List<(string, Expression?)> Parameters()
    {
        _stream.Expect("(");
        var parameters = new List<(string Name, Expression? Default)>();
        while (!_stream.Current.Is(")"))
        {
            if (parameters.Count > 0)
            {
                _stream.Expect(",");
            }

            Token name = _stream.Expect(TokenKind.Name, "the name of a parameter");
            Expression? value = _stream.Skip("=") ? _expressions.Read() : null;
            if (value is null && parameters.Count > 0 && parameters[^1].Default is not null)
            {
                throw name.At.Error($"the parameter '{name.Text}' has no default but follows one that has.");
            }

            parameters.Add((name.Text, value));
        }

        _stream.Take();
        return parameters;
    }

    private Target ReadTarget(bool withNamespace, bool withTuple = true)
    {
        Mark at = _stream.Current.At;
        Target first = SingleTarget(withNamespace);
        if (!withTuple || !_stream.Current.Is(","))
        {
            return first;
        }

        var items = new List<Target> { first };
        while (_stream.Skip(",") && !_stream.Current.IsName("in") && !_stream.Current.Is("=") && !_stream.Current.Is(")"))
        {
            items.Add(SingleTarget(withNamespace));
        }

        return new TupleTarget(items, at);
    }

    private Target SingleTarget(bool withNamespace)
    {
        if (_stream.Current.Is("("))
        {
            _stream.Enter();
            _stream.Take();
            Target inner = ReadTarget(withNamespace);
            _stream.Expect(")");
            _stream.Leave();
            return inner;
        }

        Token name = _stream.Expect(TokenKind.Name, "a variable");
        if (name.Text is "true" or "True" or "false" or "False" or "none" or "None")
        {
            throw name.At.Error($"'{name.Text}' cannot be assigned to.");
        }

        return withNamespace && _stream.Skip(".")
            ? new NamespaceTarget(name.Text, _stream.Expect(TokenKind.Name, "the name of an attribute").Text, name.At)
            : new NameTarget(name.Text, name.At);
    }
}
