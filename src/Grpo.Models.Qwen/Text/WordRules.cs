namespace Grpo.Models.Qwen.Text;

/// <summary>Rules by which a byte-level tokenizer splits text into words: those of an expression in <c>tokenizer.json</c>.</summary>
/// <remarks>
/// The three expressions have the same alternatives in the same order: a contraction, letters, a number, punctuation, white space. They
/// differ in the properties below. So <see cref="WordScanner"/> implements all of them.
/// </remarks>
internal sealed record WordRules
{
    /// <summary>The expression of Qwen2, Qwen2.5, Qwen3 and the models distilled into them.</summary>
    public static WordRules Qwen2 { get; } = new()
    {
        Name = "Qwen2",
        Pattern = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        FoldsContractions = true,
        AnyCharacterLeads = true,
        LongestNumber = 1,
        EndsAtLineBreaks = true,
    };

    /// <summary>The expression of Llama 3, which is Qwen2's with up to three digits in a word.</summary>
    public static WordRules Llama3 { get; } = Qwen2 with
    {
        Name = "Llama3",
        Pattern = @"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        LongestNumber = 3,
    };

    /// <summary>The expression of GPT-2, which a <c>ByteLevel</c> stage uses unless told otherwise.</summary>
    public static WordRules Gpt2 { get; } = new()
    {
        Name = "GPT2",
        Pattern = @"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
        LongestNumber = int.MaxValue,
        SpaceLeadsNumber = true,
    };

    /// <summary>The rules of SmolLM2: GPT-2's expression between digits that each are a word.</summary>
    public static WordRules SmolLM2 { get; } = Gpt2.WithNumbersApart(each: true);

    /// <summary>The name of the rules, for the identity of a tokenizer.</summary>
    public required string Name { get; init; }

    /// <summary>The expression, as in <c>tokenizer.json</c>.</summary>
    public required string Pattern { get; init; }

    /// <summary>True if <c>'LL</c> is a contraction as <c>'ll</c> is.</summary>
    public bool FoldsContractions { get; init; }

    /// <summary>True if any character but a line break, letter or number may lead letters. Otherwise only a space may.</summary>
    public bool AnyCharacterLeads { get; init; }

    /// <summary>The most characters of a number in one word.</summary>
    public int LongestNumber { get; init; }

    /// <summary>True if a space before a number belongs to its word.</summary>
    public bool SpaceLeadsNumber { get; init; }

    /// <summary>True if text is cut before and after numbers first, so that what stands before a number is at the end of a text.</summary>
    public bool NumbersApart { get; init; }

    /// <summary>True if punctuation takes the line breaks behind it, and a run of white space ends at its last line break.</summary>
    public bool EndsAtLineBreaks { get; init; }

    /// <summary>Returns these rules behind a <c>Digits</c> stage.</summary>
    /// <param name="each">True if each digit is a word; false if a run of digits is cut out as a whole.</param>
    public WordRules WithNumbersApart(bool each) => this with
    {
        Name = Name + (each ? " with single digits" : " with numbers apart"),
        LongestNumber = each ? 1 : LongestNumber,
        NumbersApart = true,
    };

    /// <summary>Returns the rules of an expression; null if it is none of those known.</summary>
    public static WordRules? FromPattern(string pattern) =>
        ((WordRules[])[Qwen2, Llama3, Gpt2]).FirstOrDefault(rules => rules.Pattern == pattern);
}
