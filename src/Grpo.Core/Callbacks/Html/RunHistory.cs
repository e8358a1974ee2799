using Grpo.Evaluation;
using Grpo.Training;

namespace Grpo.Callbacks;

/// <summary>What a report remembers of a run: numbers in bounded series, and the groups of two steps. Everything else is let go.</summary>
internal sealed class RunHistory
{
    // Past this many evaluations every second one is dropped, and only every second one is taken from then on.
    private const int MaxEvaluations = 400;

    // The first ones: a run in which everything is remarkable is told by its charts.
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

    /// <summary>The start of the session that is under way.</summary>
    public TrainingStart? Start { get; private set; }

    /// <summary>The steps done before those on record: 0 where the whole run is.</summary>
    public long FirstStep { get; private init; }

    /// <summary>The last step done; where the run began when none was.</summary>
    public long LastStep { get; private set; }

    public double RolloutSeconds { get; private set; }

    public double ScoringSeconds { get; private set; }

    public double UpdateSeconds { get; private set; }

    /// <summary>Groups of the first step that had a signal.</summary>
    public IReadOnlyList<ShownGroup> FirstGroups { get; private set; } = [];

    /// <summary>Groups of the last step that had a signal; empty when that is the first one.</summary>
    public IReadOnlyList<ShownGroup> LastGroups { get; private set; } = [];

    /// <summary>The evaluations after steps, in order, the last one always among them.</summary>
    public IReadOnlyList<EvaluationPoint> Evaluations =>
        _lastEvaluation is { } last && (_evaluations.Count == 0 || _evaluations[^1] != last) ? [.. _evaluations, last] : _evaluations;

    /// <summary>What happened out of the ordinary: skipped updates, a reference that was moved, roll-backs. The first hundred.</summary>
    public IReadOnlyList<(long Step, string Text)> Events => _events;

    /// <summary>Those that are not in <see cref="Events"/> any more.</summary>
    public long MoreEvents { get; private set; }

    /// <summary>A metric by its name in <see cref="StepMetrics"/>, or one of ours: tokens_per_second.</summary>
    public Series Metric(string name) => _series.TryGetValue(name, out Series? series) ? series : new Series();

    /// <summary>Goes on with a further session of the same run.</summary>
    public void Continue(TrainingStart start) => Start = start;

    /// <summary>Makes the numbers of a session those of the whole run.</summary>
    public TrainingSummary Complete(TrainingSummary session) => _answers.Complete(session) with
    {
        Steps = _steps + session.Steps,
        CompletionTokens = _tokens + session.CompletionTokens,
        Elapsed = _time + session.Elapsed,
    };

    /// <summary>Takes a session that has ended into the run.</summary>
    public void Close(TrainingSummary session)
    {
        TrainingSummary whole = Complete(session);
        (_steps, _tokens, _time) = (whole.Steps, whole.CompletionTokens, whole.Elapsed);
        _answers.Keep(whole);
    }

    /// <summary>Gives everything that is remembered, with a session that is under way.</summary>
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
                FirstGroups = [.. FirstGroups.Select(SavedGroup.Of)],
                LastGroups = [.. LastGroups.Select(SavedGroup.Of)],
            },
        });
    }

    /// <summary>Makes the history that <see cref="Save"/> gave.</summary>
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

    public void Add(StepReport report)
    {
        LastStep = report.Step;
        Dictionary<string, double> metrics = new(StepMetrics.From(report), StringComparer.Ordinal);
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
        foreach (string text in report.Updates.Select(update => update.SkipReason is null ? null : $"An update was skipped. {update.SkipReason}")
            .Append(report.ReferenceMoved ? "The reference model was moved towards the policy." : null).OfType<string>())
        {
            Note(report.Step, text);
        }

        if (report.Event is { } told && WithoutNoted(told) is { Length: > 0 } rest)
        {
            Note(report.Step, rest);
        }

        _notedEarly.Clear();

        if (report.Evaluation is { } evaluation)
        {
            Add(report.Step, evaluation);
        }

        Keep(GroupChoice.Of(report));
    }

    /// <summary>Takes in an event under its own step, which the next report tells again.</summary>
    public void NoteEarly(long step, string text)
    {
        Note(step, text);
        _notedEarly.Add(text);
    }

    /// <summary>Takes in an event of a step.</summary>
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

    /// <summary>Takes in an evaluation of a step.</summary>
    public void Add(long step, EvaluationReport evaluation)
    {
        _lastEvaluation = EvaluationPoint.Of(step, evaluation);
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

    // A report joins its events with spaces. Each one that was noted early is taken out once.
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

/// <summary>An evaluation in numbers.</summary>
/// <param name="Step">The step it followed.</param>
/// <param name="Count">Prompts.</param>
/// <param name="Accuracy">Fraction correct; NaN when the reward does not judge that.</param>
/// <param name="Low">Lower end of the 95 % interval.</param>
/// <param name="High">Upper end.</param>
internal readonly record struct EvaluationPoint(long Step, int Count, double Accuracy, double Low, double High)
{
    public static EvaluationPoint Of(long step, EvaluationReport report)
    {
        if (report.Accuracy is not { } accuracy)
        {
            return new EvaluationPoint(step, report.Count, double.NaN, double.NaN, double.NaN);
        }

        ConfidenceInterval interval = IntervalOf(accuracy, report);
        return new EvaluationPoint(step, report.Count, accuracy, interval.Low, interval.High);
    }

    // An evaluator of somebody else's need not give intervals.
    public static ConfidenceInterval IntervalOf(double accuracy, EvaluationReport report) =>
        report.AccuracyInterval ?? EvaluationStatistics.Wilson(accuracy * report.Count, report.Count);
}
