using Grpo.Losses;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Losses.Objectives;

/// <summary>
/// A whole loss put together from the pure functions, in the documented order: objective × off-policy mask × entropy mask × sampler
/// correction, + β·KL, reduced, + entropy bonus. Reads <see cref="LossCase"/> except its clip range.
/// </summary>
internal sealed record ObjectiveCase(LossCase Data, PolicyObjective Objective)
{
    public KlEstimator Kl { get; init; } = KlEstimator.K3;

    public double? OffPolicyThreshold { get; init; }

    public float[]? Entropies { get; init; }

    public double TopEntropy { get; init; } = 1;

    public double EntropyCoefficient { get; init; }

    /// <summary>The divisor of the entropy bonus; null: the tokens that count, times <see cref="Accumulation"/>.</summary>
    public long? EntropyTokens { get; init; }

    public long Accumulation { get; init; } = 1;

    public float[]? Sampler { get; init; }

    public SamplerCorrectionMode SamplerMode { get; init; }

    /// <summary>TRL's length-scaled loss: the mean over all B·C positions of n·ℓ, so that what stands in the padding counts.</summary>
    public bool PaddingEntersTheLoss { get; init; }

    public ObjectiveOutcome Run()
    {
        using var scope = TensorScope.Begin();
        Tensor leaf = tensor(Data.LogProbs, Data.Rows, Data.Columns, requires_grad: true);
        Tensor mask = tensor(Data.Mask, Data.Rows, Data.Columns);
        Tensor logProbs = Real(leaf, mask);
        Tensor old = Data.Old is null ? logProbs.detach() : Real(Matrix(Data.Old), mask);
        var inputs = new ObjectiveInputs(logProbs, old, tensor(Data.Advantages), mask);
        Tensor? entropies = Entropies is null ? null : Matrix(Entropies);

        Tensor perToken = Objective.PerToken(inputs);
        Assert.Equal([Data.Rows, Data.Columns], perToken.shape);
        if (OffPolicyThreshold is { } threshold)
        {
            perToken = perToken * OffPolicySequenceMask.Factors(inputs, threshold);
        }

        Tensor counted = mask;
        if (TopEntropy < 1)
        {
            float[] ofTheStep = [.. Entropies!.Zip(Data.Mask).Where(pair => pair.Second != 0).Select(pair => pair.First)];
            counted = TopEntropyMask.Factors(entropies!, mask, TopEntropyMask.Threshold(ofTheStep, TopEntropy));
            perToken = perToken * counted;
        }

        if (Sampler is not null)
        {
            perToken = perToken * SamplerCorrection.Factors(old, Matrix(Sampler), mask, SamplerMode, cap: 1.5);
        }

        double kl = 0;
        if (Data.KlCoefficient != 0)
        {
            Tensor estimate = KlPenalty.PerToken(Kl, logProbs, old, Real(Matrix(Data.Reference!), mask));
            perToken = perToken + (estimate * Data.KlCoefficient);
            kl = (estimate * mask).sum().item<float>() / Data.Tokens;
        }

        LossDenominators denominators = Data.Denominators ?? new LossDenominators(Data.Rows, Data.Tokens, Data.MaxCompletionTokens);
        Tensor policyLoss = PaddingEntersTheLoss
            ? (perToken * mask.sum(1L).unsqueeze(1)).mean()
            : Grpo.Losses.Reduce.Apply(Data.Reduction, perToken, mask, denominators);
        Tensor loss = policyLoss;
        if (EntropyCoefficient != 0)
        {
            long tokens = EntropyTokens ?? ((long)counted.sum().item<float>() * Accumulation);
            loss = loss + EntropyBonus.Loss(entropies!, counted, EntropyCoefficient, tokens);
        }

        loss.backward();
        ClipMetrics? clips = Objective.ClipCounts(inputs) is { } counts ? ClipMetrics.FromCounts(counts.data<float>().ToArray()) : null;
        double? phi = Objective is VespoObjective vespo ? vespo.Weights(inputs).mean().item<float>() : null;
        return new ObjectiveOutcome(loss.item<float>(), policyLoss.item<float>(), [.. leaf.grad!.data<float>()], kl, clips, phi);
    }

    /// <summary>The rows named, in that order.</summary>
    public ObjectiveCase Take(params IReadOnlyList<int> rows) => this with
    {
        Data = Data.Take(rows),
        Entropies = Entropies is null ? null : Pick(Entropies, rows),
        Sampler = Sampler is null ? null : Pick(Sampler, rows),
    };

    /// <summary>The same with more columns of padding, which hold what the caller says.</summary>
    public ObjectiveCase Pad(int columns, float filler) => this with
    {
        Data = Data.Pad(columns, filler),
        Entropies = Entropies is null ? null : Widen(Entropies, columns, filler),
        Sampler = Sampler is null ? null : Widen(Sampler, columns, filler),
    };

    private float[] Pick(float[] values, IReadOnlyList<int> rows) =>
        [.. rows.SelectMany(row => values.AsSpan((int)(row * Data.Columns), (int)Data.Columns).ToArray())];

    private float[] Widen(float[] values, int columns, float filler) =>
        [.. values.Chunk((int)Data.Columns).SelectMany(row => row.Concat(Enumerable.Repeat(filler, columns)))];

    // The convention of ObjectiveInputs: the caller zeroes the log-probs of the padding.
    private Tensor Real(Tensor values, Tensor mask) => PaddingEntersTheLoss ? values : values.masked_fill(mask.eq(0), 0);

    private Tensor Matrix(float[] values) => tensor(values, Data.Rows, Data.Columns);
}

/// <summary>Loss with and without entropy bonus, d loss / d log-probs, mean KL, clip fractions, and VESPO's mean weight.</summary>
internal sealed record ObjectiveOutcome(double Loss, double PolicyLoss, float[] Gradient, double Kl, ClipMetrics? Clips, double? Phi);
