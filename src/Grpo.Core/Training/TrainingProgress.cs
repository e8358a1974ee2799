using Grpo.Evaluation;

namespace Grpo.Training;

/// <summary>The records of a run that survive a resume: evaluations, the best one, entropies, roll-backs and pending events.</summary>
internal sealed class TrainingProgress
{
    private readonly List<EvaluatedStep> _evaluations = [];
    private readonly List<double> _entropies = [];

    /// <summary>The first evaluation; null before it.</summary>
    public EvaluationReport? Before { get; private set; }

    /// <summary>The most recent evaluation, or the best one after a roll-back; null before the first.</summary>
    public EvaluationReport? After { get; private set; }

    /// <summary>The best evaluation and its checkpoint; null before the first evaluation.</summary>
    public BestCheckpoint? Best { get; set; }

    /// <summary>The numbers of all evaluations, in their order.</summary>
    public IReadOnlyList<EvaluatedStep> Evaluations => _evaluations;

    /// <summary>The step of the last evaluation; −1 before the first.</summary>
    public long EvaluatedStep => _evaluations.Count == 0 ? -1 : _evaluations[^1].Step;

    /// <summary>The mean entropy of the first step that recorded one; null before it.</summary>
    public double? FirstEntropy { get; set; }

    /// <summary>The mean entropies of the last steps that the guard averages over, oldest first. Empty after a roll-back.</summary>
    public IReadOnlyList<double> Entropies => _entropies;

    /// <summary>The number of roll-backs.</summary>
    public int RollBacks { get; set; }

    /// <summary>The last collapse that was detected; null if there was none.</summary>
    public TrainingCollapse? Collapse { get; set; }

    /// <summary>The pending events, as sentences, for the next step's report to the callbacks.</summary>
    public List<string> Events { get; } = [];

    /// <summary>Records an evaluation.</summary>
    /// <returns>True if it is the best so far.</returns>
    public bool Add(long step, EvaluationReport evaluation)
    {
        Before ??= evaluation;
        After = evaluation;
        _evaluations.Add(new EvaluatedStep(step, Numbers(evaluation)));
        bool better = Best is null || IsBetter(evaluation, Best.Evaluation);
        if (better)
        {
            Best = new BestCheckpoint(step, evaluation, Folder: null);
        }

        return better;
    }

    /// <summary>Restores the evaluations of an earlier part of the run, in their order.</summary>
    public void Restore(IEnumerable<EvaluatedStep> evaluations, long? bestStep)
    {
        _evaluations.AddRange(evaluations);
        Before = _evaluations.FirstOrDefault()?.Evaluation;
        After = _evaluations.LastOrDefault()?.Evaluation;
        Best = _evaluations.FirstOrDefault(evaluated => evaluated.Step == bestStep) is { } best
            ? new BestCheckpoint(best.Step, best.Evaluation, Folder: null)
            : null;
    }

    /// <summary>Records the mean entropy of a step.</summary>
    /// <param name="entropy">The entropy; null if the step recorded none.</param>
    /// <param name="keep">The number of entropies to keep.</param>
    public void Add(double? entropy, int keep)
    {
        if (entropy is { } value && double.IsFinite(value))
        {
            FirstEntropy ??= value;
            _entropies.Add(value);
            _entropies.RemoveRange(0, Math.Max(0, _entropies.Count - keep));
        }
    }

    /// <summary>Clears the entropies, so that the guard averages over new steps only.</summary>
    public void ForgetEntropies() => _entropies.Clear();

    /// <summary>Records that the best checkpoint was restored at a step.</summary>
    public void RollBack(long step)
    {
        RollBacks++;
        _entropies.Clear();
        After = Best!.Evaluation;
        _evaluations.Add(new EvaluatedStep(step, Numbers(Best.Evaluation)));
    }

    // Without texts, or the history would grow with every evaluation.
    private static EvaluationReport Numbers(EvaluationReport evaluation) => evaluation with { Items = [], Groups = [], Rewards = [] };

    private static bool IsBetter(EvaluationReport one, EvaluationReport other) => one.Accuracy is not null || other.Accuracy is not null
        ? (one.Accuracy ?? double.NegativeInfinity) > (other.Accuracy ?? double.NegativeInfinity)
        : one.MeanReward > other.MeanReward || (double.IsNaN(other.MeanReward) && !double.IsNaN(one.MeanReward));
}
