using System.Numerics;

namespace Grpo.Models.Qwen.Jinja;

// A value is null (None), bool, BigInteger, double, string, or one of the types below.

/// <summary>The value of something that does not exist. It prints as nothing, and every other use of it fails.</summary>
/// <param name="Reason">The explanation for an error message.</param>
internal sealed record Undefined(string Reason);

/// <summary>Text that is already escaped for HTML: what <c>escape</c> and <c>safe</c> return.</summary>
internal sealed record Markup(string Text);

/// <summary>A list.</summary>
internal sealed class JinjaList(IReadOnlyList<object?> items)
{
    public IReadOnlyList<object?> Items { get; } = items;
}

/// <summary>A tuple.</summary>
internal sealed class JinjaTuple(IReadOnlyList<object?> items)
{
    public IReadOnlyList<object?> Items { get; } = items;
}

/// <summary>The keys, the values or the pairs of a dictionary, which cannot be indexed.</summary>
/// <param name="name">The name of Python's type, such as <c>dict_items</c>.</param>
/// <param name="items">The elements.</param>
internal sealed class JinjaView(string name, IReadOnlyList<object?> items)
{
    public string Name { get; } = name;

    public IReadOnlyList<object?> Items { get; } = items;
}

/// <summary>The result of a filter such as <c>map</c>, whose elements can be read once.</summary>
internal sealed class JinjaIterator(IReadOnlyList<object?> items)
{
    private int _next;

    /// <summary>Returns the elements that were not read yet.</summary>
    public IReadOnlyList<object?> TakeAll()
    {
        IReadOnlyList<object?> rest = _next == 0 ? items : [.. items.Skip(_next)];
        _next = items.Count;
        return rest;
    }

    /// <summary>Reads one element.</summary>
    public bool TryTake(out object? item)
    {
        bool hasMore = _next < items.Count;
        item = hasMore ? items[_next++] : null;
        return hasMore;
    }
}

/// <summary>Whole numbers in equal steps.</summary>
internal sealed record JinjaRange(BigInteger Start, BigInteger Stop, BigInteger Step)
{
    /// <summary>The number of elements.</summary>
    public BigInteger Count => BigInteger.Max(0, Step.Sign > 0
        ? (Stop - Start + Step - 1) / Step
        : (Start - Stop - Step - 1) / -Step);

    /// <summary>All elements. The creator bounds their number.</summary>
    public IReadOnlyList<object?> Items() => [.. Enumerable.Range(0, (int)Count).Select(i => (object?)(Start + (i * Step)))];
}

/// <summary>A dictionary that keeps the order of its keys.</summary>
internal sealed class JinjaDict
{
    private readonly Dictionary<object, int> _places = new(KeyComparer.Instance);
    private readonly List<KeyValuePair<object?, object?>> _items = [];

    /// <summary>The keys and values in the order of their first assignment.</summary>
    public IReadOnlyList<KeyValuePair<object?, object?>> Items => _items;

    /// <summary>Assigns a value. The key must be hashable.</summary>
    public void Set(object? key, object? value)
    {
        if (_places.TryGetValue(KeyComparer.Box(key), out int place))
        {
            _items[place] = new(_items[place].Key, value);
            return;
        }

        _places.Add(KeyComparer.Box(key), _items.Count);
        _items.Add(new(key, value));
    }

    /// <summary>Finds the value of a key.</summary>
    public bool TryGet(object? key, out object? value)
    {
        bool isFound = _places.TryGetValue(KeyComparer.Box(key), out int place);
        value = isFound ? _items[place].Value : null;
        return isFound;
    }
}

/// <summary>A namespace, whose attributes a template may assign to.</summary>
internal sealed class JinjaNamespace
{
    /// <summary>The attributes.</summary>
    public JinjaDict Attributes { get; } = new();
}

/// <summary>Something that a template can call.</summary>
/// <param name="name">The name, for error messages.</param>
internal abstract class Callable(string name)
{
    public string Name { get; } = name;

    /// <summary>Calls it.</summary>
    public abstract object? Invoke(Rendering run, Arguments arguments);
}

/// <summary>A function or a method of the interpreter.</summary>
internal sealed class Function(string name, Func<Rendering, Arguments, object?> body) : Callable(name)
{
    public override object? Invoke(Rendering run, Arguments arguments) => body(run, arguments);
}
