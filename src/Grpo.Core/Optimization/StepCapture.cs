using Grpo.Callbacks;
using Grpo.Losses;
using Grpo.Modeling;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>Takes down what a step does while it does it. It reads, and changes nothing.</summary>
internal sealed class StepCapture(IPolicy policy, ulong seed)
{
    private readonly string _weightHash = WeightHash.Compute(policy);
    private readonly Dictionary<TrainingRow, Row> _byRow = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<int, double?> _entropyThresholds = [];
    private Row[] _rows = [];
    private int _update;
    private int _microBatches;

    /// <summary>The completions of the step's groups.</summary>
    /// <param name="all">All of them, group by group.</param>
    /// <param name="counted">Those that are in the denominators of the loss.</param>
    public void Begin(IReadOnlyList<TrainingRow> all, IEnumerable<TrainingRow> counted)
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

    /// <summary>An update of the step begins, or begins anew with smaller micro-batches.</summary>
    /// <param name="update">Its number, from 0.</param>
    /// <param name="settings">Its loss.</param>
    public void BeginUpdate(int update, LossSettings settings)
    {
        _update = update;
        _microBatches = 0;
        _entropyThresholds[update] = settings.EntropyThreshold;
    }

    /// <summary>A micro-batch of that update. Only the first update is looked at: its log-probs are the old ones of all others.</summary>
    /// <param name="rows">Its rows.</param>
    /// <param name="logProbs">[B, C], borrowed.</param>
    /// <param name="referenceLogProbs">[B, C], borrowed; null without a KL term in the loss.</param>
    public void Add(IReadOnlyList<TrainingRow> rows, Tensor logProbs, Tensor? referenceLogProbs)
    {
        if (_update > 0)
        {
            return;
        }

        float[][] own = RowLogProbs.Download(rows, logProbs);
        float[][]? reference = referenceLogProbs is null ? null : RowLogProbs.Download(rows, referenceLogProbs);
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

    /// <summary>The record of the step, once it is done.</summary>
    public FlightStep Build(
        long step, IReadOnlyList<int> rounds, IReadOnlyList<ScoredGroup> all, IReadOnlyList<ScoredGroup> chosen, IReadOnlyList<UpdateReport> updates, int? microBatchTokens)
    {
        // The rows are those of the chosen groups, one group after the other.
        var firstRows = new Dictionary<ScoredGroup, int>(ReferenceEqualityComparer.Instance);
        int next = 0;
        foreach (ScoredGroup group in chosen)
        {
            firstRows.Add(group, next);
            next += group.Group.Completions.Count;
        }

        return new FlightStep
        {
            Step = step,
            Seed = seed,
            WeightHash = _weightHash,
            Rounds = rounds,
            Groups = [.. all.Select(group => Group(group, firstRows.TryGetValue(group, out int first) ? first : null))],
            MicroBatchTokens = microBatchTokens,
            Updates = [.. updates.Select(Update)],
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
