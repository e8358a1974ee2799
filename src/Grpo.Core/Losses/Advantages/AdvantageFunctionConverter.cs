namespace Grpo.Losses;

/// <summary>Reads an advantage function from text such as "group-normalized(Epsilon=1e-6)".</summary>
internal sealed class AdvantageFunctionConverter() : MethodConverter<AdvantageFunction>(
    "Advantage",
    () => new GroupNormalizedAdvantage(), () => new MeanCenteredAdvantage(), () => new BatchNormalizedAdvantage(), () => new LeaveOneOutAdvantage(),
    () => new LengthWeightedAdvantage(), () => new PerRewardNormalizedAdvantage(), () => new ReinforcePlusPlusAdvantage(), () => new PassAtKAdvantage());
