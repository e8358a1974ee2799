using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Optimization;
using static TorchSharp.torch;

namespace Grpo.Callbacks;

/// <summary>Builds the flight record of a step while the step runs.</summary>
/// <param name="policy">The policy before the step.</param>
/// <param name="seed">The seed of the run.</param>
internal sealed class StepCapture(IPolicy policy, ulong seed) : IStepObserver
{
    private readonly string _weightHash = WeightHash.Compute(policy);
    private readonly Dictionary<TrainingRow, Row> _byRow = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<int, double?> _entropyThresholds = [];
    private Row[] _rows = [];
    private int _update;
    private int _microBatches;

    /// <summary>The record of the step; null until the step is done.</summary>
    public FlightStep? Step { get; private set; }

    /// <inheritdoc/>
    public void OnRows(IReadOnlyList<TrainingRow> all, IReadOnlyList<TrainingRow> counted)
    {
        _byRow.Clear();
        _rows = [.. all.Select(_ => new Row())];
        for (int i = 0; i < _rows.Length; i++)
        {
            _byRow.Add(all[i], _rows[i]);
        }

        foreach (TrainingRow row in counted)
        {
            _byRow[row].Part = FlightPart.Counted;
        }
    }

    /// <inheritdoc/>
    public void OnUpdate(int update, LossSettings settings)
    {
        _update = update;
        _microBatches = 0;
        _entropyThresholds[update] = settings.EntropyThreshold;
    }

    /// <inheritdoc/>
    /// <remarks>Only the first update is recorded, because its log-probs are the old log-probs of all later updates.</remarks>
    public void OnMicroBatch(IReadOnlyList<TrainingRow> rows, Tensor logProbs, Tensor? referenceLogProbs)
    {
        if (_update > 0)
        {
            return;
        }

        float[][][] both = referenceLogProbs is null
            ? RowLogProbs.DownloadAll(rows, logProbs)
            : RowLogProbs.DownloadAll(rows, logProbs, referenceLogProbs);
        float[][] own = both[0];
        float[][]? reference = referenceLogProbs is null ? null : both[1];
        for (int i = 0; i < rows.Count; i++)
        {
            Row row = _byRow[rows[i]];
            row.Part = FlightPart.Trained;
            row.MicroBatch = _microBatches;
            row.LogProbs = own[i];
            row.ReferenceLogProbs = reference?[i];
        }

        _microBatches++;
    }

    /// <inheritdoc/>
    public void OnDone(ObservedStep step)
    {
        // The rows belong to the chosen groups, one group after the other.
        var firstRows = new Dictionary<ScoredGroup, int>(ReferenceEqualityComparer.Instance);
        int next = 0;
        foreach (ScoredGroup group in step.Chosen)
        {
            firstRows.Add(group, next);
            next += group.Group.Completions.Count;
        }

        Step = new FlightStep
        {
            Step = step.Step,
            Seed = seed,
            WeightHash = _weightHash,
            Rounds = step.Rounds,
            Groups = [.. step.All.Select(group => Group(group, firstRows.TryGetValue(group, out int first) ? first : null))],
            RewardWeights = step.RewardWeights,
            MicroBatchTokens = step.MicroBatchTokens,
            Updates = [.. step.Updates.Select(Update)],
        };
    }

    private FlightGroup Group(ScoredGroup group, int? firstRow) => new(
        group.Group.Prompt.Id,
        group.Group.PromptTokenIds,
        [.. group.Group.Completions.Select((completion, i) =>
        {
            Row? row = firstRow is { } first ? _rows[first + i] : null;
            return new FlightCompletion
            {
                TokenIds = completion.TokenIds,
                FinishReason = completion.FinishReason,
                SamplerLogProbs = completion.LogProbs,
                MeanEntropy = completion.MeanEntropy,
                Reward = group.Rewards[i] with { Answer = null },
                Advantage = group.Advantages[i],
                Part = row?.Part ?? FlightPart.Replaced,
                MicroBatch = row?.MicroBatch,
                LogProbs = row?.LogProbs,
                ReferenceLogProbs = row?.ReferenceLogProbs,
            };
        })]);

    private FlightUpdate Update(UpdateReport update, int index) => new()
    {
        Loss = update.Loss,
        Kl = update.Kl,
        KlCoefficient = update.KlCoefficient,
        GradientNorm = update.GradientNorm,
        LearningRate = update.LearningRate,
        SkipReason = update.SkipReason,
        EntropyThreshold = _entropyThresholds[index],
    };

    private sealed class Row
    {
        public FlightPart Part { get; set; } = FlightPart.LeftOut;

        public int? MicroBatch { get; set; }

        public float[]? LogProbs { get; set; }

        public float[]? ReferenceLogProbs { get; set; }
    }
}
