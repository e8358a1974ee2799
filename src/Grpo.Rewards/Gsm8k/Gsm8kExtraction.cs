namespace Grpo.Rewards;

/// <summary>What <see cref="Gsm8kAnswer.Extract"/> found: either <see cref="Number"/> or <see cref="Refusal"/> is set.</summary>
/// <param name="Number">The one answer, or null.</param>
/// <param name="Refusal">Why there is no answer: NoAnswer, MultipleAnswers, Unparseable, OutsideTag or TrailingText. Null when there is one.</param>
/// <param name="Candidate">The text in the answer's place, trimmed, at most 64 characters; null when there is no such place.</param>
public readonly record struct Gsm8kExtraction(ExactNumber? Number, Gsm8kVerdict? Refusal, string? Candidate)
{
    /// <summary>The number runs to the end of the text: of a truncated completion it may be the beginning of a longer one.</summary>
    internal bool IsOpenEnded { get; init; }

    internal static Gsm8kExtraction Refuse(Gsm8kVerdict refusal) => new(null, refusal, null);
}
