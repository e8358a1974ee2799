using Grpo.Losses;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Losses;

/// <summary>A loss's inputs as managed arrays, [B, C] row by row; what a test computes with them stays managed too.</summary>
internal sealed record LossCase(
    long Rows, long Columns, float[] LogProbs, float[]? Old, float[]? Reference, float[] Advantages, float[] Mask)
{
    public ClipRange ClipRange { get; init; } = new(0.2, 0.2);

    public double KlCoefficient { get; init; }

    public LossReduction Reduction { get; init; } = LossReduction.SequenceMean;

    public int MaxCompletionTokens { get; init; } = 16;

    /// <summary>The denominators; null: this batch is the whole step.</summary>
    public LossDenominators? Denominators { get; init; }

    public long Tokens => (long)Mask.Sum();

    /// <summary>Computes the loss and its gradient with respect to the log-probs.</summary>
    public LossOutcome Run()
    {
        using var scope = TensorScope.Begin();
        Tensor logProbs = tensor(LogProbs, Rows, Columns, requires_grad: true);
        var inputs = new LossInputs(logProbs, Matrix(Old), Matrix(Reference), tensor(Advantages), tensor(Mask, Rows, Columns));
        LossDenominators denominators = Denominators ?? new LossDenominators(Rows, Tokens, MaxCompletionTokens);
        var settings = new LossSettings
        {
            Objective = new ClippedObjective { Low = ClipRange.Low, High = ClipRange.High, Cap = ClipRange.Cap },
            Reduction = Reduction,
            KlCoefficient = KlCoefficient,
        };
        LossResult result = GrpoLoss.Compute(inputs, settings, denominators);
        result.Loss.backward();
        float[] counts = [.. result.ClipCounts!.sum(0L).data<float>()];
        return new LossOutcome(result.Loss.item<float>(), [.. logProbs.grad!.data<float>()], [result.KlSum.item<float>(), .. counts]);
    }

    /// <summary>The rows named, in that order.</summary>
    public LossCase Take(params IReadOnlyList<int> rows) => this with
    {
        Rows = rows.Count,
        LogProbs = Pick(LogProbs, rows),
        Old = Old is null ? null : Pick(Old, rows),
        Reference = Reference is null ? null : Pick(Reference, rows),
        Advantages = [.. rows.Select(row => Advantages[row])],
        Mask = Pick(Mask, rows),
    };

    /// <summary>The same with more columns of padding, which hold what the caller says.</summary>
    public LossCase Pad(int columns, float filler) => this with
    {
        Columns = Columns + columns,
        LogProbs = Widen(LogProbs, columns, filler),
        Old = Old is null ? null : Widen(Old, columns, filler),
        Reference = Reference is null ? null : Widen(Reference, columns, -filler),
        Mask = Widen(Mask, columns, 0),
    };

    private float[] Pick(float[] values, IReadOnlyList<int> rows) =>
        [.. rows.SelectMany(row => values.AsSpan((int)(row * Columns), (int)Columns).ToArray())];

    private float[] Widen(float[] values, int columns, float filler) =>
        [.. values.Chunk((int)Columns).SelectMany(row => row.Concat(Enumerable.Repeat(filler, columns)))];

    private Tensor? Matrix(float[]? values) => values is null ? null : tensor(values, Rows, Columns);
}

/// <summary>What <see cref="LossCase.Run"/> found: loss, d loss / d log-probs, and the sums over tokens (KL, low, high, tokens).</summary>
internal sealed record LossOutcome(double Loss, float[] Gradient, float[] Sums);
