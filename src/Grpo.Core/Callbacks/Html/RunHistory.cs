using Grpo.Evaluation;
using Grpo.Training;

namespace Grpo.Callbacks;

/// <summary>
/// The state of a report during a run: metrics in series of bounded size, events, evaluations, and the groups of two steps.
/// </summary>
internal sealed class RunHistory
{
    // Beyond this number, every second evaluation is dropped, and from then on only every second one is recorded.
    private const int MaxEvaluations = 400;

    // Only the first events are kept. In a run with more, the charts show the problem.
    private const int MaxEvents = 100;

    private readonly Dictionary<string, Series> _series = new(StringComparer.Ordinal);
    private readonly List<EvaluationPoint> _evaluations = [];
    private readonly List<(long Step, string Text)> _events = [];
    private readonly List<string> _notedEarly = [];
    private long _evaluationsSeen;
    private long _evaluationStride = 1;
    private EvaluationPoint? _lastEvaluation;

    private RememberedAnswers _answers = new();
    private long _steps;
    private long _tokens;
    private TimeSpan _time;

    public RunHistory(TrainingStart? start)
    {
        Start = start;
        FirstStep = LastStep = start?.FirstStep ?? 0;
    }

    /// <summary>The start of the current session.</summary>
    public TrainingStart? Start { get; private set; }

    /// <summary>The number of steps before the first recorded one; 0 if the whole run is recorded.</summary>
    public long FirstStep { get; private init; }

    /// <summary>The last step done, or the number of steps at the start if none is done yet.</summary>
    public long LastStep { get; private set; }

    public double RolloutSeconds { get; private set; }

    public double ScoringSeconds { get; private set; }

    public double UpdateSeconds { get; private set; }

    /// <summary>The selected groups of the first step with a nonzero advantage.</summary>
    public IReadOnlyList<ShownGroup> FirstGroups { get; private set; } = [];

    /// <summary>The selected groups of the last step with a nonzero advantage; empty if that is the first one.</summary>
    public IReadOnlyList<ShownGroup> LastGroups { get; private set; } = [];

    /// <summary>The evaluations after steps, in order. The last one is always included.</summary>
    public IReadOnlyList<EvaluationPoint> Evaluations =>
        _lastEvaluation is { } last && (_evaluations.Count == 0 || _evaluations[^1] != last) ? [.. _evaluations, last] : _evaluations;

    /// <summary>The first hundred unusual events: skipped updates, moves of the reference model, rollbacks.</summary>
    public IReadOnlyList<(long Step, string Text)> Events => _events;

    /// <summary>The number of events beyond those in <see cref="Events"/>.</summary>
    public long MoreEvents { get; private set; }

    /// <summary>Returns the series of a metric by its name in <see cref="ReportMetrics"/>.</summary>
    public Series Metric(string name) => _series.TryGetValue(name, out Series? series) ? series : new Series();

    /// <summary>Continues the run with a further session.</summary>
    public void Continue(TrainingStart start) => Start = start;

    /// <summary>Returns the summary of the whole run from that of the current session.</summary>
    public TrainingSummary Complete(TrainingSummary session) => _answers.Complete(session) with
    {
        Steps = _steps + session.Steps,
        CompletionTokens = _tokens + session.CompletionTokens,
        Elapsed = _time + session.Elapsed,
    };

    /// <summary>Adds a session that has ended to the totals of the run.</summary>
    public void Close(TrainingSummary session)
    {
        TrainingSummary whole = Complete(session);
        (_steps, _tokens, _time) = (whole.Steps, whole.CompletionTokens, whole.Elapsed);
        _answers.Keep(whole);
    }

    /// <summary>Returns the state to save, including the current session.</summary>
    public ReportState Save(TrainingSummary session)
    {
        TrainingSummary whole = Complete(session);
        var answers = new RememberedAnswers();
        answers.Keep(whole);
        return answers.AddTo(new ReportState
        {
            Format = ReportState.CurrentFormat,
            Steps = whole.Steps,
            CompletionTokens = whole.CompletionTokens,
            Seconds = whole.Elapsed.TotalSeconds,
            Answers = [],
            Before = null,
            After = null,
            Best = null,
            Evaluations = 0,
            BestStep = null,
            History = new SavedHistory
            {
                FirstStep = FirstStep,
                LastStep = LastStep,
                RolloutSeconds = RolloutSeconds,
                ScoringSeconds = ScoringSeconds,
                UpdateSeconds = UpdateSeconds,
                Series = _series.ToDictionary(entry => entry.Key, entry => entry.Value.Save(), StringComparer.Ordinal),
                Evaluations = [.. _evaluations],
                EvaluationsSeen = _evaluationsSeen,
                EvaluationStride = _evaluationStride,
                LastEvaluation = _lastEvaluation,
                Events = [.. _events.Select(item => new SavedEvent(item.Step, item.Text))],
                MoreEvents = MoreEvents,
                NotedEarly = _notedEarly.Count == 0 ? null : [.. _notedEarly],
                FirstGroups = [.. FirstGroups.Select(SavedGroup.From)],
                LastGroups = [.. LastGroups.Select(SavedGroup.From)],
            },
        });
    }

    /// <summary>Restores the history from the state that <see cref="Save"/> returned.</summary>
    public static RunHistory From(ReportState state, TrainingStart start)
    {
        SavedHistory saved = state.History;
        var history = new RunHistory(start)
        {
            FirstStep = saved.FirstStep,
            LastStep = saved.LastStep,
            RolloutSeconds = saved.RolloutSeconds,
            ScoringSeconds = saved.ScoringSeconds,
            UpdateSeconds = saved.UpdateSeconds,
            MoreEvents = saved.MoreEvents,
            FirstGroups = [.. saved.FirstGroups.Select(group => group.ToGroup())],
            LastGroups = [.. saved.LastGroups.Select(group => group.ToGroup())],
            _answers = RememberedAnswers.From(state),
            _steps = state.Steps,
            _tokens = state.CompletionTokens,
            _time = TimeSpan.FromSeconds(state.Seconds),
            _evaluationsSeen = saved.EvaluationsSeen,
            _evaluationStride = saved.EvaluationStride,
            _lastEvaluation = saved.LastEvaluation,
        };
        history._evaluations.AddRange(saved.Evaluations);
        history._events.AddRange(saved.Events.Select(item => (item.Step, item.Text)));
        history._notedEarly.AddRange(saved.NotedEarly ?? []);
        foreach ((string name, SavedSeries series) in saved.Series)
        {
            history._series[name] = Series.From(series);
        }

        return history;
    }

    public void Add(TrainingStep step)
    {
        StepReport report = step.Report;
        LastStep = report.Step;
        Dictionary<string, double> metrics = new(StepMetrics.From(step), StringComparer.Ordinal);
        double seconds = report.Duration.TotalSeconds;
        if (seconds > 0)
        {
            metrics["tokens_per_second"] = report.CompletionTokens / seconds;
        }

        foreach (string name in ReportMetrics.All)
        {
            if (!_series.TryGetValue(name, out Series? series))
            {
                _series[name] = series = new Series();
            }

            series.Add(report.Step, metrics.TryGetValue(name, out double value) ? value : null);
        }

        RolloutSeconds += report.RolloutTime.TotalSeconds;
        ScoringSeconds += report.ScoringTime.TotalSeconds;
        UpdateSeconds += report.UpdateTime.TotalSeconds;
        foreach (string text in report.Updates.Select(
            update => update.SkipReason is null ? null : $"An update was skipped. {update.SkipReason}")
            .Concat(report.Updates.Select(update => update.AdapterWarning))
            .Append(report.ReferenceMoved ? "The reference model was moved toward the policy." : null).OfType<string>())
        {
            Note(report.Step, text);
        }

        if (step.Event is { } told && WithoutNoted(told) is { Length: > 0 } rest)
        {
            Note(report.Step, rest);
        }

        _notedEarly.Clear();

        if (step.Evaluation is { } evaluation)
        {
            Add(report.Step, evaluation);
        }

        Keep(GroupChoice.Of(report));
    }

    /// <summary>Records an event under its own step. The next report will repeat it.</summary>
    public void NoteEarly(long step, string text)
    {
        Note(step, text);
        _notedEarly.Add(text);
    }

    /// <summary>Records an event of a step.</summary>
    private void Note(long step, string text)
    {
        if (_events.Count < MaxEvents)
        {
            _events.Add((step, text));
        }
        else
        {
            MoreEvents++;
        }
    }

    /// <summary>Records an evaluation of a step.</summary>
    public void Add(long step, EvaluationReport evaluation)
    {
        _lastEvaluation = EvaluationPoint.From(step, evaluation);
        if (_evaluationsSeen++ % _evaluationStride != 0)
        {
            return;
        }

        _evaluations.Add(_lastEvaluation.Value);
        if (_evaluations.Count > MaxEvaluations)
        {
            EvaluationPoint[] kept = [.. _evaluations.Where((_, i) => i % 2 == 0)];
            _evaluations.Clear();
            _evaluations.AddRange(kept);
            _evaluationStride *= 2;
        }
    }

    // A report joins its events with spaces. Each event that was noted early is removed once.
    private string WithoutNoted(string told)
    {
        string rest = $" {told} ";
        foreach (string text in _notedEarly)
        {
            int at = rest.IndexOf($" {text} ", StringComparison.Ordinal);
            rest = at < 0 ? rest : rest.Remove(at, text.Length + 1);
        }

        return rest.Length > 1 ? rest[1..^1] : string.Empty;
    }

    private void Keep(IReadOnlyList<ShownGroup> groups)
    {
        if (groups.Count == 0)
        {
            return;
        }

        if (FirstGroups.Count == 0)
        {
            FirstGroups = groups;
        }
        else
        {
            LastGroups = groups;
        }
    }
}

/// <summary>The accuracy of an evaluation with its interval, as plotted.</summary>
/// <param name="Step">The step before the evaluation.</param>
/// <param name="Count">The number of prompts.</param>
/// <param name="Accuracy">The fraction of correct completions; NaN if the reward does not judge correctness.</param>
/// <param name="Low">The lower end of the 95 % interval.</param>
/// <param name="High">The upper end of the 95 % interval.</param>
internal readonly record struct EvaluationPoint(long Step, int Count, double Accuracy, double Low, double High)
{
    public static EvaluationPoint From(long step, EvaluationReport report)
    {
        if (report.Accuracy is not { } accuracy)
        {
            return new EvaluationPoint(step, report.Count, double.NaN, double.NaN, double.NaN);
        }

        ConfidenceInterval interval = Interval(accuracy, report);
        return new EvaluationPoint(step, report.Count, accuracy, interval.Low, interval.High);
    }

    // A custom evaluator need not report intervals.
    public static ConfidenceInterval Interval(double accuracy, EvaluationReport report) =>
        report.AccuracyInterval ?? EvaluationStatistics.Wilson(accuracy * report.Count, report.Count);
}
