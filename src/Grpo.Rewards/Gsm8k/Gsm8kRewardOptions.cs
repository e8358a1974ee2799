namespace Grpo.Rewards;

/// <summary>Where <see cref="Gsm8kReward"/> looks for the answer and what it pays.</summary>
public sealed record Gsm8kRewardOptions
{
    /// <summary>Where the answer must stand.</summary>
    /// <value>
    /// Default <see cref="AnswerFormat.TagAnswer"/>. <see cref="AnswerFormat.LastNumber"/> is for evaluation: trained on, it pays lists
    /// of guesses.
    /// </value>
    public AnswerFormat Format { get; set; } = AnswerFormat.TagAnswer;

    /// <summary>What each verdict earns; null abstains. A verdict that is not in the map earns 0.</summary>
    /// <value>Finite numbers or null; default: <see cref="Gsm8kVerdict.Correct"/> earns 1.</value>
    public IReadOnlyDictionary<Gsm8kVerdict, double?> Values { get; set; } =
        new Dictionary<Gsm8kVerdict, double?> { [Gsm8kVerdict.Correct] = 1.0 };
}
