using System.ComponentModel;
using Grpo.Modeling;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>
/// A base class for the per-token losses of policy-gradient methods, such as the clipped surrogate. Derive from it to write your own.
/// </summary>
/// <remarks>
/// An objective is immutable: its parameters are the properties of its record. Masks, sampler correction and the KL term are applied after
/// it, by <see cref="GrpoLoss"/>. Keep no tensor in a field and give no property an initializer that creates a collection: records compare
/// by field.
/// </remarks>
[TypeConverter(typeof(PolicyObjectiveConverter))]
public abstract record PolicyObjective : IReflectedOptions
{
    private static readonly HashSet<LossReduction> Every = [.. Enum.GetValues<LossReduction>()];

    /// <summary>The usual name of the method, as shown in plans and reports.</summary>
    public abstract string Name { get; }

    /// <summary>
    /// The reductions with which the method does what its paper says. <see cref="RefusalReason"/> explains why others are refused.
    /// </summary>
    /// <value>Default: all of them.</value>
    public virtual IReadOnlySet<LossReduction> Reductions => Every;

    /// <summary>True if the loss corrects for samples of an earlier policy. Otherwise several updates per rollout are refused.</summary>
    /// <value>Default true.</value>
    public virtual bool AllowsForOldSamples => true;

    /// <summary>
    /// True if the loss ℓ of a token depends only on the log-probs of that token. A policy can then fuse the backward pass of its output
    /// layer with the forward pass (<see cref="IFusedLossPolicy"/>).
    /// </summary>
    /// <value>Default false. If it is true by mistake, updates fail with a message that says so.</value>
    public virtual bool IsPerToken => false;

    /// <summary>Computes the loss ℓ of every token.</summary>
    /// <param name="inputs">The tensors of the micro-batch.</param>
    /// <returns>
    /// The losses, [B, C] float32, differentiable with respect to the log-probs, finite also where the mask is 0. Owned by the caller's
    /// scope.
    /// </returns>
    /// <exception cref="ArgumentException">A shape differs.</exception>
    public abstract Tensor PerToken(ObjectiveInputs inputs);

    /// <summary>Counts where the ratios left the trust region of the method.</summary>
    /// <param name="inputs">The tensors of the micro-batch.</param>
    /// <returns>
    /// The counts as from <see cref="Losses.ClipCounts.PerSequence"/>, [B, 3], without gradient. Null, the default, if the method has no
    /// trust region. Owned by the caller's scope.
    /// </returns>
    public virtual Tensor? ClipCounts(ObjectiveInputs inputs) => null;

    /// <summary>Explains why the method refuses a reduction, and which to use instead.</summary>
    /// <param name="reduction">The requested reduction.</param>
    /// <returns>A sentence; null if the method accepts the reduction.</returns>
    public virtual string? RefusalReason(LossReduction reduction) => Reductions.Contains(reduction)
        ? null
        : $"{Name} is not defined with {reduction}. Use {string.Join(" or ", Enum.GetValues<LossReduction>().Where(Reductions.Contains))}.";

    /// <summary>Lists a sentence for each parameter that is out of range.</summary>
    /// <returns>The sentences; empty if the objective can be used.</returns>
    public virtual IEnumerable<string> Validate() => [];
}

/// <summary>
/// The tensors of a micro-batch that a policy objective reads. Log-probs are 0 where the mask is 0, so padding has no effect. Borrowed.
/// </summary>
/// <param name="LogProbs">The log-probs log π of the sampled tokens in nats, [B, C] float32, with gradient.</param>
/// <param name="OldLogProbs">
/// The log-probs log π_old of the policy that sampled in nats, [B, C] float32, no gradient. On-policy the detached
/// <paramref name="LogProbs"/>.
/// </param>
/// <param name="Advantages">The advantages A, one per sequence, [B] float32.</param>
/// <param name="Mask">The completion mask m, [B, C] float32: 1 for a real token.</param>
public sealed record ObjectiveInputs(Tensor LogProbs, Tensor OldLogProbs, Tensor Advantages, Tensor Mask);

/// <summary>Converts objectives from text such as "clipped(Low=0.2, High=0.28)", and back.</summary>
internal sealed class PolicyObjectiveConverter() : MethodConverter<PolicyObjective>(
    "Objective",
    () => new ClippedObjective(), () => new CispoObjective(), () => new CispoBandObjective(), () => new SapoObjective(),
    () => new GspoObjective(), () => new GspoTokenObjective(), () => new GmpoObjective(), () => new VespoObjective(),
    () => new ReinforceObjective());
