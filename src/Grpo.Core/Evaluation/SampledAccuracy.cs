namespace Grpo.Evaluation;

/// <summary>What k samples of a prompt are worth: one row of pass@k and maj@k.</summary>
public sealed record SampledAccuracy
{
    /// <summary>k.</summary>
    public required int K { get; init; }

    /// <summary>Prompts with at least k judged samples, over which the means are taken.</summary>
    public required int Count { get; init; }

    /// <summary>Mean over the prompts of <see cref="EvaluationStatistics.PassAtK"/>: the probability that one of k samples is correct.</summary>
    public required double Pass { get; init; }

    /// <summary>
    /// Wilson's interval of <see cref="Pass"/> with one trial per prompt: samples of one prompt are not independent of each other. Too wide
    /// rather than too narrow for k below the number of samples.
    /// </summary>
    public required ConfidenceInterval PassInterval { get; init; }

    /// <summary>
    /// Fraction of prompts whose first k judged samples elect a correct answer (<see cref="MajorityVote"/>); a prompt without any answer is
    /// wrong. Null when the reward does not tell answers: a correct completion comes without <see cref="Reward.Answer"/>.
    /// </summary>
    public double? Majority { get; init; }

    /// <summary>Wilson's interval of <see cref="Majority"/>.</summary>
    public ConfidenceInterval? MajorityInterval { get; init; }
}
