namespace Grpo.Models.Qwen.Jinja;

/// <summary>Runs the statements of a template.</summary>
internal sealed class Interpreter
{
    private readonly Rendering _run;
    private readonly Evaluator _evaluator;
    private readonly List<(int Start, int End)> _spans = [];
    private TextBuilder _output;
    private bool _isRoot = true;

    public Interpreter(Rendering run)
    {
        _run = run;
        _output = run.NewText();
        _evaluator = new Evaluator(run);
    }

    private enum Flow
    {
        Next,
        Break,
        Continue,
    }

    /// <summary>Renders a whole template.</summary>
    public RenderedText RenderRoot(IReadOnlyList<Statement> statements, Scope scope)
    {
        Run(statements, scope);
        return new RenderedText(_output.ToString(), _spans);
    }

    /// <summary>Renders statements to a text of their own.</summary>
    public string Capture(IReadOnlyList<Statement> statements, Scope scope)
    {
        (TextBuilder output, bool isRoot) = (_output, _isRoot);
        (_output, _isRoot) = (_run.NewText(), false);
        Run(statements, scope);
        string text = _output.ToString();
        (_output, _isRoot) = (output, isRoot);
        return text;
    }

    private Flow Run(IReadOnlyList<Statement> statements, Scope scope)
    {
        _run.Enter();
        Flow flow = Flow.Next;
        for (int i = 0; i < statements.Count && flow == Flow.Next; i++)
        {
            _run.Where = statements[i].At;
            _run.Step();
            flow = Run(statements[i], scope);
        }

        _run.Leave();
        return flow;
    }

    private Flow Run(Statement statement, Scope scope)
    {
        switch (statement)
        {
            case TextOutput text:
                _output.Append(text.Text);
                break;
            case ValueOutput output:
                object? value = _evaluator.Evaluate(output.Value, scope);
                _output.Append(ValueText.Str(_run, value));
                break;
            case If branch:
                return Run(Choose(branch, scope), scope);
            case For loop:
                return Loop(loop, scope);
            case Jump jump:
                return jump.IsBreak ? Flow.Break : Flow.Continue;
            case Assign assign:
                Bind(assign.Target, _evaluator.Evaluate(assign.Value, scope), scope);
                break;
            case AssignBlock block:
                string captured = Capture(block.Body, new Scope(scope));
                Bind(block.Target, block.Filter is null ? captured : _evaluator.Filter(block.Filter, captured, scope), scope);
                break;
            case Macro macro:
                scope.Set(macro.Definition.Id, new MacroValue(macro.Definition, scope, this, _evaluator));
                break;
            case CallBlock call:
                var caller = new MacroValue(call.Caller, scope, this, _evaluator);
                _output.Append(ValueText.Str(_run, _evaluator.CallWith(call.Call, caller, scope)));
                break;
            case FilterBlock filter:
                object? filtered = _evaluator.Filter(filter.Filter, Capture(filter.Body, new Scope(scope)), scope);
                _output.Append(ValueText.Str(_run, filtered));
                break;
            case With with:
                return Run(with.Body, Enter(with, scope));
            case Generation generation:
                Generate(generation, scope);
                break;
        }

        return Flow.Next;
    }

    private IReadOnlyList<Statement> Choose(If branch, Scope scope)
    {
        foreach ((Expression condition, IReadOnlyList<Statement> body) in branch.Branches)
        {
            if (Comparisons.IsTrue(_evaluator.Evaluate(condition, scope)))
            {
                return body;
            }
        }

        return branch.Else;
    }

    private Flow Loop(For loop, Scope scope)
    {
        object? source = _evaluator.Evaluate(loop.Source, scope);
        _run.Where = loop.At;
        IReadOnlyList<object?> items = Sequences.Iterate(_run, source);
        var state = new LoopState(_run, items, loop.Condition is null ? null : item => IsKept(item, loop, scope));
        Flow flow = Flow.Next;
        bool isRunToEnd = false;
        for (; flow != Flow.Break && state.TryFind(state.Index, out object? item); state.Index++)
        {
            _run.Where = loop.At;
            _run.Step();
            var inner = new Scope(scope);
            inner.Set("loop", state);
            Bind(loop.Target, item, inner);
            flow = Run(loop.Body, inner);
            isRunToEnd |= flow == Flow.Next;
        }

        // As in jinja2, 'else' also follows a loop whose body never ran to its end.
        return isRunToEnd ? Flow.Next : Run(loop.Else, new Scope(scope));
    }

    private bool IsKept(object? item, For loop, Scope scope)
    {
        var inner = new Scope(scope);
        Bind(loop.Target, item, inner);
        return Comparisons.IsTrue(_evaluator.Evaluate(loop.Condition!, inner));
    }

    private Scope Enter(With with, Scope scope)
    {
        var inner = new Scope(scope);
        foreach ((Target target, Expression value) in with.Values)
        {
            Bind(target, _evaluator.Evaluate(value, scope), inner);
        }

        return inner;
    }

    // Positions inside a text that is still captured would mean nothing in the whole text.
    private void Generate(Generation generation, Scope scope)
    {
        int start = _isRoot ? _output.CodePoints : 0;
        string text = Capture(generation.Body, new Scope(scope));
        _output.Append(text);
        if (_isRoot)
        {
            _spans.Add((start, start + PythonText.Length(text)));
        }
    }

    private void Bind(Target target, object? value, Scope scope)
    {
        _run.Where = target.At;
        switch (target)
        {
            case NameTarget name:
                _run.Work(name.Id.Length);
                scope.Set(name.Id, value);
                break;
            case NamespaceTarget attribute:
                if (scope.Get(attribute.Id) is not JinjaNamespace space)
                {
                    throw _run.Error($"'{attribute.Id}' is no namespace; only attributes of a namespace can be assigned to.");
                }

                _run.Charge(8);
                space.Attributes.Set(attribute.Attribute, value);
                break;
            case TupleTarget tuple:
                IReadOnlyList<object?> items = Sequences.Iterate(_run, value);
                if (items.Count != tuple.Items.Count)
                {
                    throw _run.Error($"{items.Count} values cannot be assigned to {tuple.Items.Count} variables.");
                }

                for (int i = 0; i < items.Count; i++)
                {
                    Bind(tuple.Items[i], items[i], scope);
                }

                break;
        }
    }
}
