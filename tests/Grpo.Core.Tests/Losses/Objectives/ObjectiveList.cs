using CsCheck;
using Grpo.Losses;

namespace Grpo.Core.Tests.Losses.Objectives;

/// <summary>Every objective there is, with parameters that leave some ratios inside and some outside of their range.</summary>
internal static class ObjectiveList
{
    public static IReadOnlyList<PolicyObjective> All { get; } =
    [
        new ClippedObjective(),
        new ClippedObjective { High = 0.28, Cap = 1.5 },
        new ClippedObjective { High = 0.28, DualClip = 3 },
        new CispoObjective { Cap = 1.2 },
        new CispoObjective { Cap = 1.2, Level = RatioLevel.Sequence },
        new CispoBandObjective { Low = 0.5, High = 0.2 },
        new SapoObjective(),
        new SapoObjective { PositiveTemperature = 2, NegativeTemperature = 0.5, Level = RatioLevel.Sequence },
        new GspoObjective { Low = 0.1, High = 0.15 },
        new GspoTokenObjective { Low = 0.1, High = 0.15 },
        new GmpoObjective(),
        new VespoObjective(),
        new ReinforceObjective(),
        new ReinforceObjective { ImportanceWeighted = true },
    ];

    /// <summary>Every KL term that a loss can have.</summary>
    public static KlEstimator[] KlLosses { get; } =
        [.. Enum.GetValues<KlEstimator>().Where(estimator => estimator != KlEstimator.K1InReward)];

    /// <summary>Any of them.</summary>
    public static Gen<KlEstimator> AnyKlLoss { get; } = Gen.Int[0, KlLosses.Length - 1].Select(i => KlLosses[i]);
}
