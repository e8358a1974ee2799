using Grpo.Callbacks;
using Grpo.Evaluation;

namespace Grpo.Training;

/// <summary>What a run knows besides the optimizer, and keeps over a resume: evaluations, the best one, entropies, roll-backs.</summary>
internal sealed class TrainingProgress
{
    private readonly List<EvaluatedStep> _evaluations = [];
    private readonly List<double> _entropies = [];

    /// <summary>The first evaluation.</summary>
    public EvaluationReport? Before { get; private set; }

    /// <summary>The last evaluation.</summary>
    public EvaluationReport? After { get; private set; }

    public BestCheckpoint? Best { get; set; }

    public IReadOnlyList<EvaluatedStep> Evaluations => _evaluations;

    /// <summary>The step of the last evaluation; −1 before the first.</summary>
    public long EvaluatedStep => _evaluations.Count == 0 ? -1 : _evaluations[^1].Step;

    public double? FirstEntropy { get; set; }

    /// <summary>Of the last steps, oldest first, as many as the guard looks at; emptied by a roll-back.</summary>
    public IReadOnlyList<double> Entropies => _entropies;

    public int RollBacks { get; set; }

    public TrainingCollapse? Collapse { get; set; }

    /// <summary>Sentences that the report of the next step tells the callbacks.</summary>
    public List<string> Events { get; } = [];

    /// <summary>Takes up an evaluation.</summary>
    /// <returns>Whether it is better than all before.</returns>
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

    /// <summary>Takes up the evaluations of the run so far, in their order.</summary>
    public void Restore(IEnumerable<EvaluatedStep> evaluations, long? bestStep)
    {
        _evaluations.AddRange(evaluations);
        Before = _evaluations.FirstOrDefault()?.Evaluation;
        After = _evaluations.LastOrDefault()?.Evaluation;
        Best = _evaluations.FirstOrDefault(evaluated => evaluated.Step == bestStep) is { } best
            ? new BestCheckpoint(best.Step, best.Evaluation, Folder: null)
            : null;
    }

    /// <summary>Takes up a step's entropy.</summary>
    /// <param name="entropy">Null when it was not recorded.</param>
    /// <param name="keep">How many to remember.</param>
    public void Add(double? entropy, int keep)
    {
        if (entropy is { } value && double.IsFinite(value))
        {
            FirstEntropy ??= value;
            _entropies.Add(value);
            _entropies.RemoveRange(0, Math.Max(0, _entropies.Count - keep));
        }
    }

    public void ForgetEntropies() => _entropies.Clear();

    /// <summary>From here on the policy is the best one again.</summary>
    public void RollBack(long step)
    {
        RollBacks++;
        _entropies.Clear();
        After = Best!.Evaluation;
        _evaluations.Add(new EvaluatedStep(step, Numbers(Best.Evaluation)));
    }

    // A history of every text would grow with the run.
    private static EvaluationReport Numbers(EvaluationReport evaluation) => evaluation with { Items = [], Groups = [], Rewards = [] };

    private static bool IsBetter(EvaluationReport one, EvaluationReport other) => one.Accuracy is not null || other.Accuracy is not null
        ? (one.Accuracy ?? double.NegativeInfinity) > (other.Accuracy ?? double.NegativeInfinity)
        : one.MeanReward > other.MeanReward || (double.IsNaN(other.MeanReward) && !double.IsNaN(one.MeanReward));
}
