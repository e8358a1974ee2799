using System.Runtime.CompilerServices;

namespace Grpo;

/// <summary>How completions are sampled.</summary>
/// <remarks>
/// Training log-probs know the temperature and nothing else: with a filter (top-k, top-p, min-p, repetition penalty) the tokens
/// come from another distribution than the one that is trained, so filters are for evaluation and <see cref="GrpoOptions"/> refuses them.
/// </remarks>
public sealed record SamplingOptions : IReflectedOptions
{
    /// <summary>Divides the logits. 0 is greedy decoding: the most probable token, without chance.</summary>
    /// <value>0, or 1e-6 to 10; default 1. Less is as good as 0, and the quotients leave float32.</value>
    public double Temperature { get; set; } = 1.0;

    /// <summary>Keeps the k most probable tokens, ties with the k-th included. 0: off.</summary>
    /// <value>0 or more; default 0.</value>
    public int TopK { get; set; }

    /// <summary>Keeps the smallest set of most probable tokens whose probabilities reach p. 1: off.</summary>
    /// <value>Above 0, to 1; default 1.</value>
    public double TopP { get; set; } = 1.0;

    /// <summary>Drops tokens less probable than this fraction of the most probable one. 0: off.</summary>
    /// <value>0 to 1; default 0.</value>
    public double MinP { get; set; }

    /// <summary>Divides positive and multiplies negative logits of tokens that occurred already (prompt included). 1: off.</summary>
    /// <value>1e-6 to 10; default 1.</value>
    public double RepetitionPenalty { get; set; } = 1.0;

    /// <summary>Upper limit of a completion, tokens, the end token included.</summary>
    /// <value>1 to 131072; default 256.</value>
    public int MaxCompletionTokens { get; set; } = 256;

    /// <summary>Upper limit of a prompt, tokens; a longer prompt is an error, never cut.</summary>
    /// <value>1 to 131072; default 1024.</value>
    public int MaxPromptTokens { get; set; } = 1024;

    /// <summary>Sequences decoded at the same time. Further ones wait until others have ended.</summary>
    /// <value>1 to 65536; default 64.</value>
    public int MaxConcurrentSequences { get; set; } = 64;

    /// <summary>
    /// Upper limit of the key/value cache, tokens: fewer sequences are decoded at a time when that many of the longest prompt and
    /// <see cref="MaxCompletionTokens"/> would not fit. A token takes 2 · layers · key/value heads · head width numbers.
    /// </summary>
    /// <value>1 or more; default null: no limit.</value>
    public long? MaxCachedTokens { get; set; }

    /// <summary>Greedy decoding with the same limits.</summary>
    public SamplingOptions ToGreedy() => this with { Temperature = 0, TopK = 0, TopP = 1, MinP = 0, RepetitionPenalty = 1 };

    /// <summary>Whether a filter changes the distribution beyond the temperature.</summary>
    public bool HasFilters => TopK > 0 || TopP < 1 || MinP > 0 || RepetitionPenalty != 1;

    /// <summary>Returns a sentence for every option that is out of range; empty when all are valid.</summary>
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
