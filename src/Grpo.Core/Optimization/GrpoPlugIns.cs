namespace Grpo;

/// <summary>The plug-ins that a <see cref="GrpoOptimizer"/> wires into a training step.</summary>
/// <param name="Policy">The model to train.</param>
/// <param name="Sampler">The sampler, which samples a group of completions per prompt.</param>
/// <param name="Reward">The reward function, which scores the completions.</param>
public sealed record GrpoPlugIns(IPolicy Policy, IGroupSampler Sampler, IRewardFunction Reward)
{
    /// <summary>
    /// The frozen reference model of the KL term. It is required if <see cref="GrpoOptions.KlCoefficient"/> is above 0; null without one.
    /// </summary>
    public IReferenceModel? Reference { get; init; }
}
