namespace Grpo.Models.Qwen.Jinja;

/// <summary>A macro, or the body of a call block.</summary>
/// <param name="definition">The parameters and the body.</param>
/// <param name="closure">The scope in which the macro was defined.</param>
/// <param name="interpreter">Runs the body.</param>
/// <param name="evaluator">Computes the defaults of parameters.</param>
internal sealed class MacroValue(MacroDefinition definition, Scope closure, Interpreter interpreter, Evaluator evaluator)
    : Callable(definition.Id)
{
    /// <inheritdoc/>
    public override object Invoke(Rendering run, Arguments arguments)
    {
        var scope = new Scope(closure);
        string what = $"the macro '{Name}'";
        string[] names = [.. definition.Parameters.Select(parameter => parameter.Name)];
        if (definition.UsesCaller && !names.Contains("caller"))
        {
            names = [.. names, "caller"];
        }

        object?[] values = arguments.Bind(run, what, names);
        for (int i = 0; i < names.Length; i++)
        {
            bool isMissing = ReferenceEquals(values[i], Arguments.Missing);
            Expression? fallback = i < definition.Parameters.Count ? definition.Parameters[i].Default : null;
            scope.Set(names[i], !isMissing ? values[i]
                : fallback is not null ? evaluator.Evaluate(fallback, scope)
                : new Undefined($"the parameter '{names[i]}' of {what} was not given."));
        }

        return interpreter.Capture(definition.Body, scope);
    }
}
