using System.Runtime.CompilerServices;

namespace Grpo;

/// <summary>The options for sampling completions: temperature, filters and limits.</summary>
/// <remarks>
/// The log-probs in training apply the temperature but no filter. With a filter (top-k, top-p, min-p, repetition penalty) the tokens come
/// from another distribution than the one that is trained. Filters are therefore for evaluation,
/// and <see cref="GrpoOptions"/> refuses them.
/// </remarks>
public sealed record SamplingOptions : IReflectedOptions
{
    /// <summary>The sampling temperature, which divides the logits. 0 is greedy decoding: always the most probable token.</summary>
    /// <value>0, or 1e-6 to 10; default 1. With smaller values the quotients overflow float32; use 0 instead.</value>
    public double Temperature { get; set; } = 1.0;

    /// <summary>The k of top-k sampling, which keeps the k most probable tokens and ties with the k-th. 0 switches it off.</summary>
    /// <value>0 or more; default 0.</value>
    public int TopK { get; set; }

    /// <summary>
    /// The p of top-p sampling, which keeps the smallest set of most probable tokens whose probabilities reach p. 1 switches it off.
    /// </summary>
    /// <value>Above 0, at most 1; default 1.</value>
    public double TopP { get; set; } = 1.0;

    /// <summary>
    /// The threshold of min-p sampling, which drops tokens below this fraction of the largest probability. 0 switches it off.
    /// </summary>
    /// <value>0 to 1; default 0.</value>
    public double MinP { get; set; }

    /// <summary>
    /// The repetition penalty. It divides positive and multiplies negative logits of tokens that already occurred, including those of the
    /// prompt. 1 switches it off.
    /// </summary>
    /// <value>1e-6 to 10; default 1.</value>
    public double RepetitionPenalty { get; set; } = 1.0;

    /// <summary>The maximum length of a completion in tokens, including the end token.</summary>
    /// <value>1 to 131072; default 256.</value>
    public int MaxCompletionTokens { get; set; } = 256;

    /// <summary>The maximum length of a prompt in tokens. A longer prompt is an error; it is never cut.</summary>
    /// <value>1 to 131072; default 1024.</value>
    public int MaxPromptTokens { get; set; } = 1024;

    /// <summary>The number of sequences that are decoded at the same time. Further sequences wait until others have ended.</summary>
    /// <value>1 to 65536; default 64.</value>
    public int MaxConcurrentSequences { get; set; } = 64;

    /// <summary>
    /// The maximum size of the key/value cache in tokens. A sequence counts with the longest prompt and <see cref="MaxCompletionTokens"/>;
    /// if fewer sequences fit, fewer are decoded at a time. A token takes 2 · layers · key/value heads · head width numbers.
    /// </summary>
    /// <value>1 or more, or null for no limit; default null.</value>
    public long? MaxCachedTokens { get; set; }

    /// <summary>Returns options for greedy decoding with the same limits.</summary>
    public SamplingOptions ToGreedy() => this with { Temperature = 0, TopK = 0, TopP = 1, MinP = 0, RepetitionPenalty = 1 };

    /// <summary>True if a filter changes the distribution beyond the temperature.</summary>
    public bool HasFilters => TopK > 0 || TopP < 1 || MinP > 0 || RepetitionPenalty != 1;

    /// <summary>Returns a sentence for every option that is out of range; empty if all are valid.</summary>
    internal IReadOnlyList<string> Validate()
    {
        var problems = new List<string>();
        Require(Temperature is >= 0 and <= 10, Temperature, "0 (greedy) to 10");
        Require(TopK >= 0, TopK, "0 (off) or more");
        Require(TopP is > 0 and <= 1, TopP, "above 0, at most 1 (off)");
        Require(MinP is >= 0 and <= 1, MinP, "0 (off) to 1");
        Require(RepetitionPenalty is > 0 and <= 10, RepetitionPenalty, "above 0, at most 10; 1 is off");
        Require(Temperature is not (> 0 and < Float32.SmallestDivisor), Temperature,
            FormattableString.Invariant($"0 (greedy), or {Float32.SmallestDivisor} or more: logits are divided by it, in float32"));
        Require(RepetitionPenalty is not (> 0 and < Float32.SmallestDivisor), RepetitionPenalty,
            FormattableString.Invariant($"{Float32.SmallestDivisor} or more: logits are divided by it, in float32"));
        Require(MaxCompletionTokens is >= 1 and <= 131072, MaxCompletionTokens, "1 to 131072");
        Require(MaxPromptTokens is >= 1 and <= 131072, MaxPromptTokens, "1 to 131072");
        Require(MaxConcurrentSequences is >= 1 and <= 65536, MaxConcurrentSequences, "1 to 65536");
        Require(MaxCachedTokens is null or >= 1, MaxCachedTokens, "1 or more, or null for no limit");
        return problems;

        void Require<T>(bool holds, T value, string allowed, [CallerArgumentExpression(nameof(value))] string name = "") =>
            OptionCheck.Require(problems, holds, value, allowed, name);
    }
}
