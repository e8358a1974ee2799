using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>The variable <c>loop</c> inside a loop. As in jinja2, the condition sees an element only when the element is needed.</summary>
/// <param name="run">The rendering.</param>
/// <param name="source">The elements before the condition.</param>
/// <param name="keeps">The condition of the loop; null if it has none.</param>
internal sealed class LoopState(Rendering run, IReadOnlyList<object?> source, Func<object?, bool>? keeps)
{
    private readonly List<object?> _kept = [];
    private int _next;
    private bool _isFinding;
    private object? _changed;

    /// <summary>The number of elements. Reading it applies the condition to all that are left.</summary>
    public int Count
    {
        get
        {
            TryFind(int.MaxValue, out _);
            return Items.Count;
        }
    }

    /// <summary>The index of the element. The first is 0.</summary>
    public int Index { get; set; }

    /// <summary>Finds the element at an index, and no later one.</summary>
    public bool TryFind(int index, out object? item)
    {
        while (keeps is not null && _kept.Count <= index && _next < source.Count)
        {
            Try(source[_next++], keeps);
        }

        bool isFound = index < Items.Count;
        item = isFound ? Items[index] : null;
        return isFound;
    }

    /// <summary>Returns an attribute.</summary>
    public object? Get(string name) => name switch
    {
        "index" => new BigInteger(Index + 1),
        "index0" => new BigInteger(Index),
        "revindex" => new BigInteger(Count - Index),
        "revindex0" => new BigInteger(Count - Index - 1),
        "first" => Index == 0,
        "last" => !TryFind(Index + 1, out _),
        "length" => new BigInteger(Count),
        "depth" => BigInteger.One,
        "depth0" => BigInteger.Zero,
        "previtem" => Index > 0 ? Items[Index - 1] : new Undefined("there is no previous item."),
        "nextitem" => TryFind(Index + 1, out object? next) ? next : new Undefined("there is no next item."),
        "cycle" => new Function("loop.cycle", (_, arguments) => Cycle(arguments)),
        "changed" => new Function("loop.changed", (_, arguments) => Changed(arguments)),
        _ => new Undefined($"'loop' has no attribute '{name}'."),
    };

    // Those that were found so far. Without a condition, all are.
    private IReadOnlyList<object?> Items => keeps is null ? source : _kept;

    private void Try(object? candidate, Func<object?, bool> condition)
    {
        // A condition can reach its own loop through a namespace.
        if (_isFinding)
        {
            throw run.Error("the condition of a loop asks for the next elements of the same loop.");
        }

        run.Step();
        _isFinding = true;
        if (condition(candidate))
        {
            _kept.Add(candidate);
        }

        _isFinding = false;
    }

    private object? Cycle(Arguments arguments) => arguments.Positional.Count > 0
        ? arguments.Positional[Index % arguments.Positional.Count]
        : throw run.Error("loop.cycle needs a value.");

    private bool Changed(Arguments arguments)
    {
        var values = new JinjaTuple(arguments.Positional);
        bool hasChanged = _changed is null || !Comparisons.AreEqual(run, _changed, values);
        _changed = values;
        return hasChanged;
    }
}
