using System.Runtime.InteropServices;
using Grpo.IO;
using Grpo.Losses;
using Grpo.Modeling;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Optimization;

/// <summary>
/// Trains the policy on scored groups: forward and backward pass per micro-batch, clipping by norm, and AdamW.
/// </summary>
internal sealed class PolicyUpdater(
    IPolicy policy, IReferenceModel? reference, GrpoOptions options, UpdateParts parts, MicroBatchBudget budget)
{
    private readonly AdamW _adam = parts.Adam;
    private readonly KlControl _kl = parts.Kl;
    private readonly LossSettings _loss = options.Loss;
    private readonly double _peakRate = options.LearningRate!.Value; // the optimizer has resolved it
    private readonly IEntropyPolicy? _entropyPolicy = policy as IEntropyPolicy;
    private readonly IFusedLossPolicy? _fusedPolicy = policy as IFusedLossPolicy;

    private sealed record MicroBatch(
        IReadOnlyList<TrainingRow> Rows, TokenBatch Tokens, Tensor Advantages, Tensor? ReferenceLogProbs, Tensor? SamplerLogProbs);

    /// <summary>
    /// The optimizer steps on one rollout. It holds what a restart with smaller micro-batches needs: the finished reports and the old
    /// log-probs.
    /// </summary>
    private sealed record Round(
        IReadOnlyList<TrainingRow> All, IReadOnlyList<TrainingRow> Trained, LossDenominators Denominators,
        IReadOnlyList<IStepObserver> Observers)
    {
        public List<UpdateReport> Reports { get; } = [];

        /// <summary>The log-probs of the policy that sampled, per trained row; null while the policy has not changed since.</summary>
        public float[][]? OldLogProbs { get; set; }
    }

    /// <summary>Runs <see cref="GrpoOptions.UpdatesPerRollout"/> optimizer steps on the groups.</summary>
    /// <returns>One report per optimizer step; empty if nothing could be learned and nothing was changed.</returns>
    /// <remarks>
    /// Cancellation is possible until the first optimizer step is applied. Later the round runs to its end, so that the weights are always
    /// those between two rounds.
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
        TrainingRow[] all = [.. groups.SelectMany(TrainingRow.FromGroup)];
        TrainingRow[] rows =
            [.. all.Where(row => !options.MaskTruncatedCompletions || row.Completion.FinishReason != FinishReason.Truncated)];
        foreach (IStepObserver observer in observers)
        {
            observer.OnRows(all, rows);
        }

        var denominators = new LossDenominators(
            rows.Length, rows.Sum(row => (long)row.Tokens.CompletionIds.Count), options.Sampling.MaxCompletionTokens);

        // Without a KL term and an entropy bonus, a row with advantage 0 has no gradient. It counts in the denominators and is not run.
        // The test is in float32, where 1e-50 is 0.
        TrainingRow[] trained =
            [.. rows.Where(row => row.Tokens.CompletionIds.Count > 0 && ((float)row.Advantage != 0 || options.TrainsWithoutAdvantage))];
        if (trained.Length == 0)
        {
            return []; // AdamW would still move the weights, by the momentum of earlier steps.
        }

        var round = new Round(rows, trained, denominators, observers);
        return budget.Fit(() => Run(round, cancellationToken), applied: () => round.Reports.Count);
    }

    // Runs the remaining optimizer steps of the round. A micro-batch that does not fit into memory ends this method, which frees gradients
    // and tensors; the caller then restarts it at the current optimizer step. All gradients are dropped, because a failed backward pass
    // may have added a part of its own.
    private List<UpdateReport> Run(Round round, CancellationToken cancellationToken)
    {
        using var scope = TensorScope.Begin();
        _adam.ZeroGradients(); // Gradients of an earlier backward pass of the caller are not part of this step.
        MicroBatch[] batches = [];
        Tensor?[] oldLogProbs = [];
        try
        {
            (batches, oldLogProbs) = Prepare(round, CurrentToken());
            while (round.Reports.Count < options.UpdatesPerRollout)
            {
                CancellationToken token = CurrentToken();
                LossSettings loss = _loss with
                {
                    KlCoefficient = options.HasKlInLoss ? _kl.Coefficient : 0,
                    EntropyThreshold = options.TopEntropyFraction < 1
                        ? EntropyThreshold.Compute(_entropyPolicy!, round.All, options, budget, token)
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
            _adam.ZeroGradients();
        }

        CancellationToken CurrentToken() => round.Reports.Count == 0 ? cancellationToken : CancellationToken.None;
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
                Tensor advantages = DeviceTransfer.ToDevice([.. members.Select(row => (float)row.Advantage)], device);  // [B]
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
        return scope.Keep(CheckedLogProbs.Compute(reference!, tokens, options.Sampling.Temperature)); // [B, C]
    }

    private LossInputs Forward(MicroBatch batch, Tensor? oldLogProbs, LossSettings settings, LossDenominators denominators)
    {
        double temperature = options.Sampling.Temperature;
        if (options.NeedsEntropies)
        {
            // GrpoOptimizer's constructor has checked that the policy computes entropies.
            TokenStatistics statistics = CheckedLogProbs.WithEntropies(_entropyPolicy!, batch.Tokens, temperature);
            return Inputs(statistics.LogProbs) with { Entropies = statistics.Entropies };
        }

        return Inputs(_fusedPolicy is null || !settings.IsPerToken
            ? CheckedLogProbs.Compute(policy, batch.Tokens, temperature)
            : CheckedLogProbs.Fused(
                _fusedPolicy, batch.Tokens, temperature, logProbs => GrpoLoss.Gradient(Inputs(logProbs), settings, denominators)));

        LossInputs Inputs(Tensor logProbs) => new(
            logProbs, oldLogProbs, batch.ReferenceLogProbs, batch.Advantages, batch.Tokens.CompletionMask)
        {
            SamplerLogProbs = batch.SamplerLogProbs,
        };
    }

    // Runs the forward and backward pass of one micro-batch, which adds to the gradients of the others.
    // Returns the loss, the sum of the KL term and, if the objective has them, the clip counts.
    private float[] Accumulate(
        Round round, MicroBatch batch, ref Tensor? oldLogProbs, LossSettings settings, NumericsGuard guard)
    {
        bool first = oldLogProbs is null; // In the first update of a round the policy is still the one that sampled.
        using var scope = TensorScope.Begin();
        LossInputs inputs = Forward(batch, oldLogProbs, settings, round.Denominators);
        LossResult result = GrpoLoss.Compute(inputs, settings, round.Denominators);
        Tensor health = NumericsGuard.Measure(inputs, first ? batch.SamplerLogProbs : null);

        // One wait for the device per micro-batch, before the backward pass. It also reads what the previous backward pass left to check.
        // If a check fails, the exception ends the round, which drops all gradients.
        Tensor[] numbers = [result.Loss.detach().reshape(1), result.KlSum.reshape(1), health,
            .. result.ClipCounts is { } counts ? [counts.reshape(-1)] : Array.Empty<Tensor>()];
        ReadOnlySpan<float> values = guard.Read(numbers);
        int healthNumbers = NumericsGuard.Numbers(batch.Rows.Count);
        guard.Check(batch.Rows, values.Slice(2, healthNumbers), compared: first && batch.SamplerLogProbs is not null);
        foreach (IStepObserver observer in round.Observers)
        {
            observer.OnMicroBatch(batch.Rows, inputs.LogProbs, batch.ReferenceLogProbs);
        }

        float[] sums = [.. values[..2], .. values[(2 + healthNumbers)..]];
        guard.Backpropagate(result.Loss);

        // In the first update the policy is still the one that sampled, so its log-probs are the old log-probs of all later updates.
        oldLogProbs ??= options.UpdatesPerRollout > 1 ? scope.Keep(inputs.LogProbs.detach()) : null;
        return sums;
    }

    private double GradientNorm(NumericsGuard guard)
    {
        using var scope = TensorScope.BeginNoGrad();
        return guard.Read([_adam.GradientNormOnDevice().reshape(1)])[0];
    }

    private UpdateReport Step(
        Round round, MicroBatch[] batches, Tensor?[] oldLogProbs, LossSettings settings, CancellationToken cancellationToken)
    {
        double loss = 0, klSum = 0;
        var clipCounts = new List<float>();
        using var guard = new NumericsGuard(options);
        for (int i = 0; i < batches.Length; i++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            int index = i;
            float[] values = MicroBatchBudget.Run(
                batches[i].Rows, () => Accumulate(round, batches[index], ref oldLogProbs[index], settings, guard));
            loss += values[0];
            klSum += values[1];
            clipCounts.AddRange(values.AsSpan(2));
        }

        LogProbDifference? samplerDifference = guard.SamplerDifference();
        double gradientNorm = GradientNorm(guard);
        if (!double.IsFinite(loss) || !double.IsFinite(gradientNorm))
        {
            throw new TrainingDivergedException(FormattableString.Invariant(
                $"The loss is {loss} and the gradient norm {gradientNorm}; the update was not applied. ")
                + FormattableString.Invariant($"Lower LearningRate ({_peakRate}) or MaxGradientNorm."));
        }

        cancellationToken.ThrowIfCancellationRequested();
        double learningRate = LearningRate.At(
            options.Schedule, _peakRate, _adam.Step, options.WarmupSteps, options.ScheduleSteps, options.ScheduleFloor);
        string? skipReason = parts.Spikes.Observe(gradientNorm), adapterWarning = null;
        if (skipReason is null)
        {
            double scale = options.MaxGradientNorm is { } limit ? Math.Min(1, limit / (gradientNorm + 1e-6)) : 1;
            _adam.Apply(learningRate, scale);
            adapterWarning = parts.Motion.Observe(learningRate, gradientNorm * scale);
        }

        _adam.ZeroGradients();
        return new UpdateReport
        {
            Loss = loss,
            Kl = options.HasKlInLoss ? klSum / Math.Max(round.Denominators.Tokens, 1) : null,
            KlCoefficient = options.HasKlInLoss ? _kl.Coefficient : null,
            Clip = clipCounts.Count == 0 ? null : ClipMetrics.FromCounts(CollectionsMarshal.AsSpan(clipCounts)),
            SamplerDifference = samplerDifference,
            GradientNorm = gradientNorm,
            LearningRate = learningRate,
            SkipReason = skipReason,
            AdapterWarning = adapterWarning,
        };
    }
}

/// <summary>The parts of an update that have state. A checkpoint contains it besides the weights, unless it says otherwise.</summary>
/// <param name="Adam">The optimizer with its moments.</param>
/// <param name="Kl">The controller of the KL coefficient β.</param>
/// <param name="Spikes">The detector of gradient spikes with its recent norms.</param>
/// <param name="Motion">The watch over an adapter that does not move. It is not saved: a resumed run counts anew.</param>
internal sealed record UpdateParts(AdamW Adam, KlControl Kl, GradientSpikes Spikes, AdapterMotion Motion);

/// <summary>One completion of an update, with its advantage and the names that error messages need.</summary>
/// <param name="Tokens">The ids of prompt and completion.</param>
/// <param name="Advantage">The advantage A.</param>
/// <param name="Completion">The completion.</param>
/// <param name="PromptId">The id of the prompt.</param>
/// <param name="Sample">The index of the completion in its group, from 0.</param>
internal sealed record TrainingRow(TokenSequence Tokens, double Advantage, Completion Completion, string PromptId, int Sample)
{
    /// <summary>The name of the row in messages, with the prompt's id escaped.</summary>
    public string Title => $"prompt '{TerminalText.EscapeLine(PromptId)}', sample {Sample}";

    /// <summary>Creates one row per completion of a group.</summary>
    public static IEnumerable<TrainingRow> FromGroup(ScoredGroup group) => group.Group.Completions.Select((completion, i) =>
        new TrainingRow(
            new TokenSequence(group.Group.PromptTokenIds, completion.TokenIds), group.Advantages[i], completion, group.Group.Prompt.Id, i));
}
