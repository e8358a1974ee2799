using System.Numerics;
using System.Runtime.CompilerServices;
using System.Text;

namespace Grpo.Models.Qwen.Jinja;

/// <summary>The state of one rendering: the place that is evaluated, the bounds that are left, and the clock.</summary>
internal sealed class Rendering(JinjaLimits limits, TimeProvider clock)
{
    private long _steps = limits.Steps;
    private long _size = limits.Size;
    private int _depth;

    /// <summary>The place that is evaluated.</summary>
    public Mark Where { get; set; } = new(1, 1);

    /// <summary>The clock of <c>strftime_now</c>.</summary>
    public TimeProvider Clock => clock;

    /// <summary>Creates the exception for a failure at the place that is evaluated.</summary>
    public ChatTemplateException Error(string message) => Where.Error(message);

    /// <summary>Counts an evaluated expression or a visited element.</summary>
    public void Step()
    {
        if (--_steps < 0)
        {
            throw Error($"rendering takes more than {limits.Steps} steps. Shorten the conversation, or the loops of the template.");
        }
    }

    /// <summary>Counts work on a text that creates nothing, such as a comparison.</summary>
    /// <param name="characters">The number of characters that are read.</param>
    public void Work(long characters)
    {
        _steps -= characters >> 6;
        if (characters >= 64)
        {
            Step();
        }
    }

    /// <summary>Counts the size of what is created, before it is created.</summary>
    public void Charge(long size)
    {
        _size -= size;
        if (size < 0 || _size < 0)
        {
            throw Error($"rendering creates more than {limits.Size} characters. Shorten the conversation, or what the template repeats.");
        }
    }

    /// <summary>Enters a nested evaluation. Leave it with <see cref="Leave"/>.</summary>
    public void Enter()
    {
        if (++_depth > limits.Depth || !RuntimeHelpers.TryEnsureSufficientExecutionStack())
        {
            throw Error($"calls and values are nested more than {limits.Depth} deep. Does a macro call itself without an end?");
        }
    }

    /// <summary>Leaves a nested evaluation.</summary>
    public void Leave() => _depth--;

    /// <summary>Counts a text that was created from texts of about the same length.</summary>
    public string Text(string text)
    {
        Charge(text.Length);
        return text;
    }

    /// <summary>Creates a list, and counts its size.</summary>
    public JinjaList List(IReadOnlyList<object?> items)
    {
        Charge(8L * items.Count);
        return new JinjaList(items);
    }

    /// <summary>Returns a whole number within the bound on its digits, and counts its size.</summary>
    public object Integer(BigInteger number)
    {
        long bits = number.GetBitLength();
        Charge(bits / 16);
        return bits <= JinjaLimits.IntegerBits
            ? number
            : throw Error($"a whole number has more than {JinjaLimits.IntegerDigits} digits.");
    }

    /// <summary>Creates a builder that counts the text.</summary>
    public TextBuilder NewText() => new(this);
}

/// <summary>Builds a text, and counts its size before it grows.</summary>
internal sealed class TextBuilder(Rendering run)
{
    private readonly StringBuilder _text = new();
    private bool _endsInHalf;

    /// <summary>The number of Unicode code points so far.</summary>
    public int CodePoints { get; private set; }

    public TextBuilder Append(ReadOnlySpan<char> text)
    {
        run.Charge(text.Length);
        _text.Append(text);
        foreach (char unit in text)
        {
            CodePoints += _endsInHalf && char.IsLowSurrogate(unit) ? 0 : 1;
            _endsInHalf = char.IsHighSurrogate(unit);
        }

        return this;
    }

    public TextBuilder Append(char letter, int count = 1)
    {
        run.Charge(count);
        _text.Append(letter, count);
        CodePoints += count - (_endsInHalf && count > 0 && char.IsLowSurrogate(letter) ? 1 : 0);
        _endsInHalf = count > 0 ? char.IsHighSurrogate(letter) : _endsInHalf;
        return this;
    }

    public override string ToString() => _text.ToString();
}
