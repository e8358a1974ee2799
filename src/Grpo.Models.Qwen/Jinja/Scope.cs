namespace Grpo.Models.Qwen.Jinja;

/// <summary>The variables of a block. A variable that it does not have is looked up in the scope around it.</summary>
internal sealed class Scope(Scope? parent)
{
    private Dictionary<string, object?>? _variables;

    /// <summary>Assigns a variable of this scope.</summary>
    public void Set(string name, object? value) => (_variables ??= new(StringComparer.Ordinal))[name] = value;

    /// <summary>Finds a variable here or around.</summary>
    public object? Get(string name)
    {
        for (Scope? scope = this; scope is not null; scope = scope.Parent)
        {
            if (scope._variables is { } variables && variables.TryGetValue(name, out object? value))
            {
                return value;
            }
        }

        return new Undefined($"'{name}' is undefined.");
    }

    private Scope? Parent { get; } = parent;
}
