using Grpo.Core.Tests.Optimization;
using Grpo.Losses;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Losses.Objectives;

/// <summary>Every part of a loss leaves its result and nothing else. Runs alone, with the other tests that count.</summary>
[Collection(nameof(LiveTensorTests))]
public sealed class LiveLossTensorTests
{
    /// <summary>What earlier tests left to the finalizer must not leave the count in the middle of one of these.</summary>
    public LiveLossTensorTests()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    [Fact]
    public void Nothing_but_the_result_is_left()
    {
        using var scope = TensorScope.Begin();
        Tensor logProbs = zeros(2, 3, requires_grad: true), other = zeros(2, 3), mask = ones(2, 3);
        var inputs = new ObjectiveInputs(logProbs, other, ones(2), mask);
        IEnumerable<Func<Tensor?>> parts =
        [
            .. ObjectiveList.All.Select<PolicyObjective, Func<Tensor?>>(objective => () => objective.PerToken(inputs)),
            .. ObjectiveList.All.Select<PolicyObjective, Func<Tensor?>>(objective => () => objective.ClipCounts(inputs)),
            .. ObjectiveList.KlLosses.Select<KlEstimator, Func<Tensor?>>(kl => () => KlPenalty.PerToken(kl, logProbs, other, other)),
            () => OffPolicySequenceMask.Factors(inputs, 0.1),
            () => TopEntropyMask.Factors(other, mask, 0.1),
            () => SamplerCorrection.Factors(other, other, mask, SamplerCorrectionMode.Mask, 2),
            () => EntropyBonus.Loss(other, mask, 0.01, 6),
        ];
        foreach (Func<Tensor?> part in parts)
        {
            long before = Tensor.TotalCount;
            Tensor? result = part();
            Assert.Equal(before + (result is null ? 0 : 1), Tensor.TotalCount);
            result?.Dispose();
        }
    }
}
