using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>The variable <c>loop</c> inside a loop.</summary>
/// <param name="items">The elements of the loop.</param>
internal sealed class LoopState(IReadOnlyList<object?> items)
{
    private object? _changed;

    /// <summary>The number of elements.</summary>
    public int Count => items.Count;

    /// <summary>The index of the element. The first is 0.</summary>
    public int Index { get; set; }

    /// <summary>Returns an attribute.</summary>
    public object? Get(string name) => name switch
    {
        "index" => new BigInteger(Index + 1),
        "index0" => new BigInteger(Index),
        "revindex" => new BigInteger(Count - Index),
        "revindex0" => new BigInteger(Count - Index - 1),
        "first" => Index == 0,
        "last" => Index == Count - 1,
        "length" => new BigInteger(Count),
        "depth" => BigInteger.One,
        "depth0" => BigInteger.Zero,
        "previtem" => Index > 0 ? items[Index - 1] : new Undefined("there is no previous item."),
        "nextitem" => Index + 1 < Count ? items[Index + 1] : new Undefined("there is no next item."),
        "cycle" => new Function("loop.cycle", Cycle),
        "changed" => new Function("loop.changed", (run, arguments) => Changed(run, arguments)),
        _ => new Undefined($"'loop' has no attribute '{name}'."),
    };

    private object? Cycle(Rendering run, Arguments arguments) => arguments.Positional.Count > 0
        ? arguments.Positional[Index % arguments.Positional.Count]
        : throw run.Error("loop.cycle needs a value.");

    private bool Changed(Rendering run, Arguments arguments)
    {
        var values = new JinjaTuple(arguments.Positional);
        bool hasChanged = _changed is null || !Comparisons.AreEqual(run, _changed, values);
        _changed = values;
        return hasChanged;
    }
}
