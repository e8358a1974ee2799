using System.Globalization;
using Grpo.IO;

namespace Grpo.Rewards;

/// <summary>
/// Judges a GSM8K answer by <see cref="Gsm8kAnswer"/> and pays by verdict. The reward's label is the verdict's name; it is
/// correct when the verdict is. Its components <c>strict</c> and <c>lenient</c> are 1 or 0: correct in the asked format, and correct by the
/// text's last number, so that both accuracies are reported side by side. Its answer is the number in the asked format, as
/// <see cref="ExactNumber"/> writes it; none for a completion without one number there.
/// </summary>
public sealed class Gsm8kReward : CompletionReward, IHasIdentity
{
    private readonly AnswerFormat _format;
    private readonly Dictionary<Gsm8kVerdict, double?> _values;

    /// <summary>Copies the options: later changes of them have no effect.</summary>
    /// <param name="options">Format and values; null for the defaults.</param>
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
                    CultureInfo.InvariantCulture, $"Gsm8kRewardOptions.Values[{verdict}] must be a known verdict and a finite number or null."));
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
            throw new ArgumentException($"Prompt '{TerminalText.EscapeLine(prompt.Id)}' has no Answer to compare with. Gsm8kDataset.Load sets it.", nameof(prompt));
        }

        Gsm8kVerdict verdict = Gsm8kAnswer.Judge(completion.Text, gold, _format, completion.FinishReason);
        Gsm8kVerdict lenient = Gsm8kAnswer.Judge(completion.Text, gold, AnswerFormat.LastNumber, completion.FinishReason);
        return new Reward(_values.TryGetValue(verdict, out double? value) ? value : 0.0)
        {
            Verdict = verdict.ToString(),
            IsCorrect = verdict == Gsm8kVerdict.Correct,
            Answer = verdict is Gsm8kVerdict.Correct or Gsm8kVerdict.WrongNumber
                ? Gsm8kAnswer.Extract(completion.Text, _format).Number?.ToString()
                : null,
            Components = new Dictionary<string, double?>
            {
                ["strict"] = verdict == Gsm8kVerdict.Correct ? 1 : 0,
                ["lenient"] = lenient == Gsm8kVerdict.Correct ? 1 : 0,
            },
        };
    }

    // Null where it is 0, whether the options say so or not.
    private string? Earns(Gsm8kVerdict verdict) => !_values.TryGetValue(verdict, out double? value) || value == 0 ? null
        : value?.ToString(CultureInfo.InvariantCulture) ?? "an abstention";
}
