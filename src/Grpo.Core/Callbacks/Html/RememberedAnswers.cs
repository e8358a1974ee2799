using Grpo.Evaluation;
using Grpo.Training;

namespace Grpo.Callbacks;

/// <summary>
/// The stored held-out completions of the first, last and best evaluation. After a resume, the trainer's summary lacks them.
/// </summary>
internal sealed class RememberedAnswers
{
    private EvaluationReport? _before;
    private EvaluationReport? _after;
    private EvaluationReport? _best;
    private int _evaluations;
    private long? _bestStep;

    /// <summary>Adds the stored completions to a summary whose evaluations come from a checkpoint.</summary>
    public TrainingSummary Complete(TrainingSummary summary)
    {
        EvaluationReport? before = With(summary.Before, _before);
        EvaluationReport? best = With(summary.Best?.Evaluation, summary.Best?.Step == _bestStep ? _best : null);

        // Without a new evaluation, the last one is that of the checkpoint. After a rollback, it is the best one.
        EvaluationReport? after = summary.Evaluations.Count == _evaluations
            ? With(summary.After, _after)
            : ReferenceEquals(summary.After, summary.Best?.Evaluation) ? best : summary.After;
        if (before is not null && after is not null && ReferenceEquals(before.Groups, after.Groups) && before.Groups.Count > 0)
        {
            after = before; // both are one evaluation
        }

        return summary with { Before = before, After = after, Best = summary.Best is { } given ? given with { Evaluation = best! } : null };
    }

    /// <summary>Stores the completions of a summary that <see cref="Complete"/> has completed.</summary>
    public void Keep(TrainingSummary summary)
    {
        (_before, _after, _best) = (summary.Before, summary.After, summary.Best?.Evaluation);
        (_evaluations, _bestStep) = (summary.Evaluations.Count, summary.Best?.Step);
    }

    /// <summary>Adds the stored completions to a state.</summary>
    public ReportState AddTo(ReportState state)
    {
        var kept = new List<EvaluationReport>();
        (int? before, int? after, int? best) = (Index(_before), Index(_after), Index(_best));
        return state with
        {
            Answers = [.. kept.Select(Answers)],
            Before = before,
            After = after,
            Best = best,
            Evaluations = _evaluations,
            BestStep = _bestStep,
        };

        int? Index(EvaluationReport? evaluation)
        {
            if (evaluation is null || evaluation.Groups.Count == 0)
            {
                return null;
            }

            int index = kept.FindIndex(other => ReferenceEquals(other.Groups, evaluation.Groups));
            if (index < 0)
            {
                kept.Add(evaluation);
            }

            return index < 0 ? kept.Count - 1 : index;
        }
    }

    /// <summary>Restores the stored completions from a state.</summary>
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

        EvaluationReport? At(int? position) => position is { } index ? kept[index] : null;
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
