using System.Globalization;
using Grpo.IO;
using Grpo.Rewards.Answers;

namespace Grpo.Rewards;

/// <summary>The options of <see cref="Gsm8kReward"/>: the answer's format and the reward of each verdict.</summary>
public sealed record Gsm8kRewardOptions
{
    /// <summary>The place where the answer must stand.</summary>
    /// <value>
    /// Default <see cref="AnswerFormat.TagAnswer"/>. <see cref="AnswerFormat.LastNumber"/> is for evaluation only. In training it would pay
    /// for lists of guesses.
    /// </value>
    public AnswerFormat Format { get; set; } = AnswerFormat.TagAnswer;

    /// <summary>The reward of each verdict. Null abstains, and a verdict that is not in the map earns 0.</summary>
    /// <value>Finite numbers or null. By default <see cref="Gsm8kVerdict.Correct"/> earns 1.</value>
    public IReadOnlyDictionary<Gsm8kVerdict, double?> Values { get; set; } =
        new Dictionary<Gsm8kVerdict, double?> { [Gsm8kVerdict.Correct] = 1.0 };
}

/// <summary>
/// A reward for GSM8K answers. It finds the answer, compares it with the gold answer exactly and rewards the verdict; by default a correct
/// answer earns 1 and all others 0.
/// </summary>
/// <remarks>
/// The reward's label is the name of the <see cref="Gsm8kVerdict"/>. Its components are 1 or 0: <c>strict</c> if the answer is correct in
/// the requested format, and <c>lenient</c> if the text's last number is correct. Both accuracies are therefore reported. Its answer is the
/// number in the requested format, as <see cref="ExactNumber"/> writes it, or null if there is no such number.
/// </remarks>
public sealed class Gsm8kReward : CompletionReward, IHasIdentity
{
    private readonly AnswerFormat _format;
    private readonly Dictionary<Gsm8kVerdict, double?> _values;

    /// <summary>Creates the reward from a copy of its options. Later changes to the options have no effect.</summary>
    /// <param name="options">The format and the reward of each verdict, or null for the defaults.</param>
    /// <exception cref="ArgumentOutOfRangeException">The format or a verdict is unknown, or a value is NaN or infinite.</exception>
    public Gsm8kReward(Gsm8kRewardOptions? options = null)
    {
        options ??= new Gsm8kRewardOptions();
        if (!Enum.IsDefined(options.Format))
        {
            throw new ArgumentOutOfRangeException(
                nameof(options), options.Format, "Gsm8kRewardOptions.Format must be TagAnswer, HashMarks, Boxed or LastNumber.");
        }

        foreach (var (verdict, value) in options.Values)
        {
            if (!Enum.IsDefined(verdict) || (value is { } number && !double.IsFinite(number)))
            {
                throw new ArgumentOutOfRangeException(nameof(options), value, string.Create(
                    CultureInfo.InvariantCulture,
                    $"Gsm8kRewardOptions.Values[{verdict}] must be a known verdict and a finite number or null."));
            }
        }

        _format = options.Format;
        _values = new Dictionary<Gsm8kVerdict, double?>(options.Values);
    }

    /// <inheritdoc/>
    public PlugInIdentity Identity => Enum.GetValues<Gsm8kVerdict>().Aggregate(
        new PlugInIdentity("GSM8K").With("answer format", _format),
        (identity, verdict) => identity.With($"{verdict} earns", Earns(verdict)));

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">The prompt has no answer, or one that is not a number.</exception>
    public override Reward Score(Prompt prompt, Completion completion)
    {
        ArgumentNullException.ThrowIfNull(prompt);
        ArgumentNullException.ThrowIfNull(completion);
        if (prompt.Answer is not { } gold)
        {
            throw new ArgumentException(
                $"Prompt '{TerminalText.EscapeLine(prompt.Id)}' has no Answer to compare with. Gsm8kDataset.Load sets it.", nameof(prompt));
        }

        string text = completion.VisibleText;
        Gsm8kVerdict verdict = Gsm8kAnswer.Judge(text, gold, _format, completion.FinishReason);
        Gsm8kVerdict lenient = Gsm8kAnswer.Judge(text, gold, AnswerFormat.LastNumber, completion.FinishReason);
        return new Reward(_values.TryGetValue(verdict, out double? value) ? value : 0.0)
        {
            Verdict = verdict.ToString(),
            IsCorrect = verdict == Gsm8kVerdict.Correct,
            Answer = verdict is Gsm8kVerdict.Correct or Gsm8kVerdict.WrongNumber
                ? Gsm8kAnswer.Extract(text, _format).Number?.ToString()
                : null,
            Components = new Dictionary<string, double?>
            {
                ["strict"] = verdict == Gsm8kVerdict.Correct ? 1 : 0,
                ["lenient"] = lenient == Gsm8kVerdict.Correct ? 1 : 0,
            },
        };
    }

    // Null for a reward of 0, whether or not the options list it.
    private string? Earns(Gsm8kVerdict verdict) => !_values.TryGetValue(verdict, out double? value) || value == 0 ? null
        : value?.ToString(CultureInfo.InvariantCulture) ?? "an abstention";
}
