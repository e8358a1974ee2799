namespace Grpo.Models.Qwen.Jinja;

/// <summary>The bounds of one rendering, so that no template hangs, overflows the stack or fills the memory.</summary>
internal sealed record JinjaLimits
{
    /// <summary>The length of a template's text in UTF-16 code units.</summary>
    public int Source { get; init; } = 1 << 20;

    /// <summary>The nesting of statements and expressions in the text.</summary>
    public int Nesting { get; init; } = 150;

    /// <summary>The nesting of evaluated expressions, statements, calls and values.</summary>
    public int Depth { get; init; } = 1000;

    /// <summary>The number of evaluated expressions and statements, and of visited elements.</summary>
    public long Steps { get; init; } = 20_000_000;

    /// <summary>The size of everything that is created: code units of texts, and eight per element of a list or a dictionary.</summary>
    public long Size { get; init; } = 1L << 26;

    /// <summary>The bits of a whole number. 4,300 decimal digits have 14,285 bits.</summary>
    public static int IntegerBits => 14_285;

    /// <summary>The decimal digits of a whole number that is read. Python has the same limit.</summary>
    public static int IntegerDigits => 4_300;

    /// <summary>The elements of a range. Jinja's sandbox has the same limit.</summary>
    public static int Range => 100_000;
}
