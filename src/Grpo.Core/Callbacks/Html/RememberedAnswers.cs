using Grpo.Evaluation;
using Grpo.Training;

namespace Grpo.Callbacks;

/// <summary>The held-out completions of the first, the last and the best evaluation, which a resumed run's own records lack.</summary>
internal sealed class RememberedAnswers
{
    private EvaluationReport? _before;
    private EvaluationReport? _after;
    private EvaluationReport? _best;
    private int _evaluations;
    private long? _bestStep;

    /// <summary>Puts remembered completions into a summary whose evaluations are from before a resume.</summary>
    public TrainingSummary Complete(TrainingSummary summary)
    {
        EvaluationReport? before = With(summary.Before, _before);
        EvaluationReport? best = With(summary.Best?.Evaluation, summary.Best?.Step == _bestStep ? _best : null);

        // After a roll-back the policy is the best one again; without a new evaluation it is the one of the checkpoint.
        EvaluationReport? after = summary.Evaluations.Count == _evaluations
            ? With(summary.After, _after)
            : ReferenceEquals(summary.After, summary.Best?.Evaluation) ? best : summary.After;
        if (before is not null && after is not null && ReferenceEquals(before.Groups, after.Groups) && before.Groups.Count > 0)
        {
            after = before; // one evaluation, compared with itself
        }

        return summary with { Before = before, After = after, Best = summary.Best is { } given ? given with { Evaluation = best! } : null };
    }

    /// <summary>Remembers the completions of a summary that <see cref="Complete"/> has made whole.</summary>
    public void Keep(TrainingSummary summary)
    {
        (_before, _after, _best) = (summary.Before, summary.After, summary.Best?.Evaluation);
        (_evaluations, _bestStep) = (summary.Evaluations.Count, summary.Best?.Step);
    }

    /// <summary>Adds what is remembered to a state.</summary>
    public ReportState AddTo(ReportState state)
    {
        var kept = new List<EvaluationReport>();
        (int? before, int? after, int? best) = (Place(_before), Place(_after), Place(_best));
        return state with
        {
            Answers = [.. kept.Select(Answers)],
            Before = before,
            After = after,
            Best = best,
            Evaluations = _evaluations,
            BestStep = _bestStep,
        };

        int? Place(EvaluationReport? evaluation)
        {
            if (evaluation is null || evaluation.Groups.Count == 0)
            {
                return null;
            }

            int place = kept.FindIndex(other => ReferenceEquals(other.Groups, evaluation.Groups));
            if (place < 0)
            {
                kept.Add(evaluation);
            }

            return place < 0 ? kept.Count - 1 : place;
        }
    }

    /// <summary>Takes up what a state holds.</summary>
    public static RememberedAnswers From(ReportState state)
    {
        EvaluationReport[] kept = [.. state.Answers.Select(Evaluation)];
        return new RememberedAnswers
        {
            _before = At(state.Before),
            _after = At(state.After),
            _best = At(state.Best),
            _evaluations = state.Evaluations,
            _bestStep = state.BestStep,
        };

        EvaluationReport? At(int? place) => place is { } index ? kept[index] : null;
    }

    private static EvaluationReport? With(EvaluationReport? evaluation, EvaluationReport? remembered) =>
        evaluation is { Groups.Count: 0 } && remembered is not null
            ? evaluation with { Groups = remembered.Groups, Rewards = remembered.Rewards }
            : evaluation;

    private static List<SavedAnswer> Answers(EvaluationReport evaluation) =>
        [.. BeforeAfter.Sides(evaluation).Select(pair => new SavedAnswer(
            pair.Prompt.Id, SavedAnswer.QuestionOf(pair.Prompt), pair.Prompt.Answer, pair.Side.Completion.Text,
            pair.Side.Reward.Value, pair.Side.Reward.Verdict, pair.Side.Reward.IsCorrect))];

    private static EvaluationReport Evaluation(IReadOnlyList<SavedAnswer> answers) => new()
    {
        Count = answers.Count,
        Groups = [.. answers.Select(answer => new RolloutGroup(
            Prompt.Create(answer.PromptId, answer.Question, answer.Expected),
            [],
            [new Completion([], answer.Text, FinishReason.EndToken)]))],
        Rewards = [.. answers.Select(answer => new Reward(answer.Reward) { Verdict = answer.Verdict, IsCorrect = answer.IsCorrect })],
    };
}
