namespace Grpo.Losses;

/// <summary>Reads an objective from text such as "clipped(Low=0.2, High=0.28)".</summary>
internal sealed class PolicyObjectiveConverter() : MethodConverter<PolicyObjective>(
    "Objective",
    () => new ClippedObjective(), () => new CispoObjective(), () => new CispoBandObjective(), () => new SapoObjective(), () => new GspoObjective(),
    () => new GspoTokenObjective(), () => new GmpoObjective(), () => new VespoObjective(), () => new ReinforceObjective());
