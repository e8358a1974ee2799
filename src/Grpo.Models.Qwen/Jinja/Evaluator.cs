namespace Grpo.Models.Qwen.Jinja;

/// <summary>Computes the values of expressions.</summary>
internal sealed class Evaluator(Rendering run)
{
    /// <summary>Computes the value of an expression.</summary>
    public object? Evaluate(Expression expression, Scope scope)
    {
        run.Where = expression.At;
        run.Step();
        run.Enter();
        object? value = Compute(expression, scope);
        run.Leave();
        return value;
    }

    /// <summary>Applies a chain of filters to a text.</summary>
    public object? Filter(Filtered filter, object? start, Scope scope)
    {
        object? value = filter.Value is Filtered inner ? Filter(inner, start, scope) : start;
        Arguments arguments = Values(filter.Arguments, scope);
        run.Where = filter.At;
        return FilterTable.Apply(run, filter.Id, value, arguments);
    }

    /// <summary>Calls a macro with the body of a call block.</summary>
    public object? CallWith(Call call, MacroValue caller, Scope scope)
    {
        object? target = Evaluate(call.Target, scope);
        Arguments arguments = Values(call.Arguments, scope);
        return Invoke(target, arguments with { Keywords = [.. arguments.Keywords, new("caller", caller)] }, call.At);
    }

    private object? Compute(Expression expression, Scope scope)
    {
        switch (expression)
        {
            case Constant constant:
                return constant.Value;
            case Name name:
                run.Work(name.Id.Length);
                return scope.Get(name.Id);
            case Attribute attribute:
                object? owner = Evaluate(attribute.Target, scope);
                run.Where = attribute.At;
                run.Work(attribute.Id.Length);
                return Members.Attribute(run, owner, attribute.Id);
            case Item item:
                return ItemOf(item, scope);
            case Call call:
                object? target = Evaluate(call.Target, scope);
                return Invoke(target, Values(call.Arguments, scope), call.At);
            case Filtered filter:
                object? value = Evaluate(filter.Value!, scope);
                Arguments arguments = Values(filter.Arguments, scope);
                run.Where = filter.At;
                return FilterTable.Apply(run, filter.Id, value, arguments);
            case Tested test:
                object? tested = Evaluate(test.Value, scope);
                Arguments others = Values(test.Arguments, scope);
                run.Where = test.At;
                return TestTable.Apply(run, test.Id, tested, others);
            case Conditional conditional:
                return Comparisons.IsTrue(Evaluate(conditional.Condition, scope)) ? Evaluate(conditional.Then, scope)
                    : conditional.Otherwise is { } otherwise ? Evaluate(otherwise, scope)
                    : new Undefined("the condition is false, and there is no 'else'.");
            case Not not:
                return !Comparisons.IsTrue(Evaluate(not.Value, scope));
            case Logical logical:
                object? left = Evaluate(logical.Left, scope);
                return Comparisons.IsTrue(left) == logical.IsAnd ? Evaluate(logical.Right, scope) : left;
            default:
                return Combine(expression, scope);
        }
    }

    private object? Combine(Expression expression, Scope scope)
    {
        switch (expression)
        {
            case Comparison comparison:
                return Compare(comparison, scope);
            case Arithmetic arithmetic:
                object? left = Evaluate(arithmetic.Left, scope), right = Evaluate(arithmetic.Right, scope);
                run.Where = arithmetic.At;
                return Operators.Apply(run, arithmetic.Operator, left, right);
            case Signed signed:
                object? number = Evaluate(signed.Value, scope);
                run.Where = signed.At;
                return Operators.Sign(run, signed.IsMinus, number);
            case Concatenation concatenation:
                return Concatenate([.. concatenation.Parts.Select(part => Evaluate(part, scope))]);
            case ListLiteral list:
                return run.List([.. list.Items.Select(item => Evaluate(item, scope))]);
            case TupleLiteral tuple:
                return new JinjaTuple(run.List([.. tuple.Items.Select(item => Evaluate(item, scope))]).Items);
            case DictLiteral dictionary:
                return Dictionary(dictionary, scope);
            case Slice slice:
                throw slice.At.Error("a slice among several keys is not supported.");
            default:
                throw expression.At.Error($"the expression {expression.GetType().Name} is not supported.");
        }
    }

    private object? ItemOf(Item item, Scope scope)
    {
        object? owner = Evaluate(item.Target, scope);
        if (item.Key is not Slice slice)
        {
            object? key = Evaluate(item.Key, scope);
            run.Where = item.At;
            return Members.Item(run, owner, key);
        }

        object? start = slice.Start is null ? null : Evaluate(slice.Start, scope);
        object? stop = slice.Stop is null ? null : Evaluate(slice.Stop, scope);
        object? step = slice.Step is null ? null : Evaluate(slice.Step, scope);
        run.Where = item.At;
        return Sequences.Slice(run, owner, start, stop, step);
    }

    private object? Invoke(object? target, Arguments arguments, Mark at)
    {
        run.Where = at;
        return target switch
        {
            Callable callable => callable.Invoke(run, arguments),
            Undefined missing => throw run.Error($"it cannot be called: {missing.Reason}"),
            _ => throw run.Error($"a value of the type {ValueText.TypeOf(target)} cannot be called."),
        };
    }

    private bool Compare(Comparison comparison, Scope scope)
    {
        object? left = Evaluate(comparison.First, scope);
        foreach ((string operation, Expression other) in comparison.Rest)
        {
            object? right = Evaluate(other, scope);
            run.Where = comparison.At;
            bool holds = operation switch
            {
                "==" => Comparisons.AreEqual(run, left, right),
                "!=" => !Comparisons.AreEqual(run, left, right),
                "in" => Comparisons.Contains(run, right, left),
                "not in" => !Comparisons.Contains(run, right, left),
                "<" => Comparisons.Order(run, left, right) < 0,
                "<=" => Comparisons.Order(run, left, right) <= 0,
                ">" => Comparisons.Order(run, left, right) > 0,
                _ => Comparisons.Order(run, left, right) >= 0,
            };
            if (!holds)
            {
                return false;
            }

            left = right;
        }

        return true;
    }

    private string Concatenate(List<object?> parts)
    {
        TextBuilder text = run.NewText();
        foreach (object? part in parts)
        {
            text.Append(ValueText.Str(run, part));
        }

        return text.ToString();
    }

    private JinjaDict Dictionary(DictLiteral literal, Scope scope)
    {
        var dictionary = new JinjaDict();
        run.Charge(16L * literal.Items.Count);
        foreach ((Expression key, Expression value) in literal.Items)
        {
            object? name = Evaluate(key, scope);
            if (!KeyComparer.IsHashable(run, name))
            {
                throw key.At.Error($"a value of the type {ValueText.TypeOf(name)} cannot be the key of a dictionary.");
            }

            dictionary.Set(name, Evaluate(value, scope));
        }

        return dictionary;
    }

    private Arguments Values(ArgumentList list, Scope scope)
    {
        if (ReferenceEquals(list, ArgumentList.None))
        {
            return Arguments.None;
        }

        List<object?> positional = [.. list.Positional.Select(value => Evaluate(value, scope))];
        List<KeyValuePair<string, object?>> keywords =
            [.. list.Keywords.Select(pair => new KeyValuePair<string, object?>(pair.Name, Evaluate(pair.Value, scope)))];
        if (list.Rest is not null)
        {
            positional.AddRange(run.List(Sequences.Iterate(run, Evaluate(list.Rest, scope))).Items);
        }

        if (list.Named is not null)
        {
            object? named = Evaluate(list.Named, scope);
            run.Where = list.Named.At;
            foreach ((object? key, object? value) in named is JinjaDict dictionary ? dictionary.Items
                : throw run.Error($"'**' needs a dictionary, not {ValueText.TypeOf(named)}."))
            {
                run.Charge(16);
                keywords.Add(key is string name ? new(name, value) : throw run.Error("'**' needs a dictionary whose keys are texts."));
            }
        }

        return new Arguments(positional, keywords);
    }
}
