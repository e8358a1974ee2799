using System.Runtime.InteropServices;
using Grpo.Callbacks;
using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>Turns scored groups into optimizer steps: forward and backward per micro-batch, clip by norm, AdamW.</summary>
internal sealed class PolicyUpdater(
    IPolicy policy, IReferenceModel? reference, AdamW adam, GrpoOptions options, KlControl kl, GradientSpikes spikes,
    MicroBatchBudget budget)
{
    private readonly LossSettings _loss = options.Loss;
    private readonly IEntropyPolicy? _entropyPolicy = policy as IEntropyPolicy;
    private readonly IFusedLossPolicy? _fusedPolicy = policy as IFusedLossPolicy;

    private sealed record MicroBatch(
        IReadOnlyList<TrainingRow> Rows, TokenBatch Tokens, Tensor Advantages, Tensor? ReferenceLogProbs, Tensor? SamplerLogProbs);

    /// <summary>The optimizer steps of a round: what is done, and what a new beginning with smaller micro-batches has to know.</summary>
    private sealed record Round(
        IReadOnlyList<TrainingRow> All, IReadOnlyList<TrainingRow> Trained, LossDenominators Denominators,
        IReadOnlyList<IStepObserver> Observers)
    {
        public List<UpdateReport> Reports { get; } = [];

        /// <summary>The log-probs of the policy that sampled, per trained row; null while that is still the policy.</summary>
        public float[][]? OldLogProbs { get; set; }
    }

    /// <summary>Runs <see cref="GrpoOptions.UpdatesPerRollout"/> optimizer steps on the groups.</summary>
    /// <returns>One report per optimizer step; none when nothing could be learned and nothing was touched.</returns>
    /// <remarks>
    /// Cancellation is heeded until the first optimizer step is applied; from then on the round runs to its end, so that the
    /// weights are always those between two rounds.
    /// </remarks>
    /// <exception cref="TrainingDivergedException">
    /// Log-probs, loss or gradient are not finite, and the update was not applied. Or the update left weights that are not finite.
    /// </exception>
    /// <exception cref="InvalidOperationException">
    /// The sampler's log-probs contradict the policy's, and nothing was applied; or a single completion does not fit into memory, and the
    /// message says which optimizer steps were applied before, if any.
    /// </exception>
    public IReadOnlyList<UpdateReport> Update(
        IReadOnlyList<ScoredGroup> groups, IReadOnlyList<IStepObserver> observers, CancellationToken cancellationToken)
    {
        TrainingRow[] all = [.. groups.SelectMany(TrainingRow.Of)];
        TrainingRow[] rows =
            [.. all.Where(row => !options.MaskTruncatedCompletions || row.Completion.FinishReason != FinishReason.Truncated)];
        foreach (IStepObserver observer in observers)
        {
            observer.OnRows(all, rows);
        }

        var denominators = new LossDenominators(
            rows.Length, rows.Sum(row => (long)row.Tokens.CompletionIds.Count), options.Sampling.MaxCompletionTokens);

        // Without a KL term and an entropy bonus a row of advantage 0, which 1e-50 is in float32, has no gradient. It counts in the
        // denominators and costs nothing.
        TrainingRow[] trained =
            [.. rows.Where(row => row.Tokens.CompletionIds.Count > 0 && ((float)row.Advantage != 0 || options.TrainsWithoutAdvantage))];
        if (trained.Length == 0)
        {
            return []; // Adam would turn leftover momentum into a step
        }

        var round = new Round(rows, trained, denominators, observers);
        return budget.Fit(() => Run(round, cancellationToken), applied: () => round.Reports.Count);
    }

    // All that is left of the round. A micro-batch that does not fit ends it with gradients and tensors freed, and it begins anew at the
    // optimizer step that it was at: gradients that a failed backward pass has half added cannot be told from others, so all are dropped.
    private List<UpdateReport> Run(Round round, CancellationToken cancellationToken)
    {
        using var scope = TensorScope.Begin();
        adam.ZeroGradients(); // what somebody else's backward left behind is no part of this step
        MicroBatch[] batches = [];
        Tensor?[] oldLogProbs = [];
        try
        {
            (batches, oldLogProbs) = Prepare(round, Heeded());
            while (round.Reports.Count < options.UpdatesPerRollout)
            {
                CancellationToken token = Heeded();
                LossSettings loss = _loss with
                {
                    KlCoefficient = options.HasKlInLoss ? kl.Coefficient : 0,
                    EntropyThreshold = options.TopEntropyFraction < 1
                        ? EntropyThreshold.Of(_entropyPolicy!, round.All, options, budget, token)
                        : null,
                };
                foreach (IStepObserver observer in round.Observers)
                {
                    observer.OnUpdate(round.Reports.Count, loss);
                }

                round.Reports.Add(Step(round, batches, oldLogProbs, loss, token));
            }

            return round.Reports;
        }
        catch (MicroBatchOutOfMemoryException) when (round.Reports.Count > 0 && round.OldLogProbs is null)
        {
            round.OldLogProbs = RowLogProbs.Download(round.Trained, [.. batches.Select((batch, i) => (batch.Rows, oldLogProbs[i]!))]);
            throw;
        }
        finally
        {
            adam.ZeroGradients();
        }

        CancellationToken Heeded() => round.Reports.Count == 0 ? cancellationToken : CancellationToken.None;
    }

    private (MicroBatch[] Batches, Tensor?[] OldLogProbs) Prepare(Round round, CancellationToken cancellationToken)
    {
        Device device = policy.Device();
        MicroBatchLimits limits = budget.Limits;
        IReadOnlyList<int[]> split = MicroBatcher.Split([.. round.Trained.Select(row => row.Tokens)], limits);
        var batches = new MicroBatch[split.Count];
        var oldLogProbs = new Tensor?[split.Count];
        for (int i = 0; i < batches.Length; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int[] indices = split[i];
            TrainingRow[] members = [.. indices.Select(index => round.Trained[index])];
            batches[i] = MicroBatchBudget.Run(members, () =>
            {
                TokenBatch tokens = TokenBatchBuilder.Build(
                    [.. members.Select(row => row.Tokens)], padTokenId: 0, device, limits.SharePrompts);
                Tensor advantages = DeviceUpload.To(tensor(members.Select(row => (float)row.Advantage).ToArray()), device);  // [B]
                oldLogProbs[i] = round.OldLogProbs is { } old ? RowLogProbs.Upload([.. indices.Select(index => old[index])], tokens) : null;
                return new MicroBatch(members, tokens, advantages, ReferenceLogProbs(tokens), SamplerLogProbs.Upload(members, tokens));
            });
        }

        return (batches, oldLogProbs);
    }

    private Tensor? ReferenceLogProbs(TokenBatch tokens)
    {
        if (!options.HasKlInLoss)
        {
            return null;
        }

        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(CheckedLogProbs.Of(reference!, tokens, options.Sampling.Temperature)); // [B, C]
    }

    private LossInputs Forward(MicroBatch batch, Tensor? oldLogProbs, LossSettings settings, LossDenominators denominators)
    {
        double temperature = options.Sampling.Temperature;
        if (options.NeedsEntropies)
        {
            // the optimizer has asked for it
            TokenStatistics statistics = CheckedLogProbs.WithEntropies(_entropyPolicy!, batch.Tokens, temperature);
            return Inputs(statistics.LogProbs) with { Entropies = statistics.Entropies };
        }

        return Inputs(_fusedPolicy is null || !settings.IsPerToken
            ? CheckedLogProbs.Of(policy, batch.Tokens, temperature)
            : CheckedLogProbs.Fused(
                _fusedPolicy, batch.Tokens, temperature, logProbs => GrpoLoss.Gradient(Inputs(logProbs), settings, denominators)));

        LossInputs Inputs(Tensor logProbs) => new(
            logProbs, oldLogProbs, batch.ReferenceLogProbs, batch.Advantages, batch.Tokens.CompletionMask)
        {
            SamplerLogProbs = batch.SamplerLogProbs,
        };
    }

    // Forward and backward of one micro-batch: the gradients are added to those of the others.
    // Returns loss, sum of the KL term and, where the objective has them, the clip counts.
    private float[] Accumulate(
        Round round, MicroBatch batch, ref Tensor? oldLogProbs, LossSettings settings, NumericsGuard guard, bool first)
    {
        using var scope = TensorScope.Begin();
        LossInputs inputs = Forward(batch, oldLogProbs, settings, round.Denominators);
        LossResult result = GrpoLoss.Compute(inputs, settings, round.Denominators);
        Tensor health = NumericsGuard.Measure(inputs, first ? batch.SamplerLogProbs : null);

        // One stop of the device per micro-batch, before the backward pass. What a bad forward pass leaves in the gradients
        // goes with the round.
        Tensor[] numbers = [result.Loss.detach().reshape(1), result.KlSum.reshape(1), health,
            .. result.ClipCounts is { } counts ? [counts.reshape(-1)] : Array.Empty<Tensor>()];
        ReadOnlySpan<float> values = MemoryMarshal.Cast<byte, float>(torch.cat(numbers).cpu().bytes);
        int healthNumbers = NumericsGuard.Numbers(batch.Rows.Count);
        guard.Check(batch.Rows, values.Slice(2, healthNumbers), compared: first && batch.SamplerLogProbs is not null);
        foreach (IStepObserver observer in round.Observers)
        {
            observer.OnMicroBatch(batch.Rows, inputs.LogProbs, batch.ReferenceLogProbs);
        }

        float[] sums = [.. values[..2], .. values[(2 + healthNumbers)..]];
        BackwardPass.Run(result.Loss);

        // The first update of a round sees the policy that sampled: its log-probs are the old ones of all later updates.
        oldLogProbs ??= options.UpdatesPerRollout > 1 ? scope.Keep(inputs.LogProbs.detach()) : null;
        return sums;
    }

    private UpdateReport Step(
        Round round, MicroBatch[] batches, Tensor?[] oldLogProbs, LossSettings settings, CancellationToken cancellationToken)
    {
        double loss = 0, klSum = 0;
        var clipCounts = new List<float>();
        var guard = new NumericsGuard(options);
        bool first = oldLogProbs[0] is null; // of the round: the policy is still the one that sampled
        for (int i = 0; i < batches.Length; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int index = i;
            float[] values = MicroBatchBudget.Run(
                batches[i].Rows, () => Accumulate(round, batches[index], ref oldLogProbs[index], settings, guard, first));
            loss += values[0];
            klSum += values[1];
            clipCounts.AddRange(values.AsSpan(2));
        }

        LogProbDifference? samplerDifference = guard.SamplerDifference();
        double gradientNorm = adam.GradientNorm();
        if (!double.IsFinite(loss) || !double.IsFinite(gradientNorm))
        {
            throw new TrainingDivergedException(FormattableString.Invariant(
                $"The loss is {loss} and the gradient norm {gradientNorm}; the update was not applied. ")
                + FormattableString.Invariant($"Lower LearningRate ({options.LearningRate}) or MaxGradientNorm."));
        }

        cancellationToken.ThrowIfCancellationRequested();
        double learningRate = LearningRate.At(
            options.Schedule, options.LearningRate, adam.Step, options.WarmupSteps, options.ScheduleSteps, options.ScheduleFloor);
        string? skipReason = spikes.Observe(gradientNorm);
        if (skipReason is null)
        {
            adam.Apply(learningRate, options.MaxGradientNorm is { } limit ? Math.Min(1, limit / (gradientNorm + 1e-6)) : 1);
        }

        adam.ZeroGradients();
        return new UpdateReport
        {
            Loss = loss,
            Kl = options.HasKlInLoss ? klSum / Math.Max(round.Denominators.Tokens, 1) : null,
            KlCoefficient = options.HasKlInLoss ? kl.Coefficient : null,
            Clip = clipCounts.Count == 0 ? null : ClipMetrics.FromCounts(CollectionsMarshal.AsSpan(clipCounts)),
            SamplerDifference = samplerDifference,
            GradientNorm = gradientNorm,
            LearningRate = learningRate,
            SkipReason = skipReason,
        };
    }
}
