using System.ComponentModel;
using Grpo.Modeling;
using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>The per-token loss of a policy-gradient method. Derive from it to plug in one of your own.</summary>
/// <remarks>
/// Immutable: the parameters of a method are the properties of its record. Masks, sampler correction and the KL term follow in the
/// loop, never in here. Keep no tensor in a field and give no property an initializer that makes a collection: records compare by field.
/// </remarks>
[TypeConverter(typeof(PolicyObjectiveConverter))]
public abstract record PolicyObjective : IReflectedOptions
{
    private static readonly HashSet<LossReduction> Every = [.. Enum.GetValues<LossReduction>()];

    /// <summary>The field's name of the method, as shown in plans and reports.</summary>
    public abstract string Name { get; }

    /// <summary>The reductions with which the method means what its paper says; <see cref="RefusalReason"/> says why not the others.</summary>
    /// <value>Default: all of them.</value>
    public virtual IReadOnlySet<LossReduction> Reductions => Every;

    /// <summary>Whether the loss allows for samples that an earlier policy drew. If not, several updates per rollout are refused.</summary>
    /// <value>Default true.</value>
    public virtual bool AllowsForOldSamples => true;

    /// <summary>
    /// Whether ℓ of a token depends on the log-probs of that token alone, and not on others of its completion. Its gradient is then known as soon
    /// as they are, and a policy can go back through its output layer at once (<see cref="IFusedLossPolicy"/>). With
    /// true where it is not so an update fails, and says so.
    /// </summary>
    /// <value>Default false.</value>
    public virtual bool IsPerToken => false;

    /// <summary>ℓ of every token.</summary>
    /// <param name="inputs">The micro-batch.</param>
    /// <returns>[B, C] float32, differentiable in the log-probs, finite also where the mask is 0. Owned by the caller's scope.</returns>
    /// <exception cref="ArgumentException">A shape differs.</exception>
    public abstract Tensor PerToken(ObjectiveInputs inputs);

    /// <summary>Where the method left the trust region; a method without one returns null.</summary>
    /// <param name="inputs">The micro-batch.</param>
    /// <returns>
    /// The counts of <see cref="Losses.ClipCounts.PerSequence"/>, [B, 3], without gradient; default null. Owned by the caller's scope.
    /// </returns>
    public virtual Tensor? ClipCounts(ObjectiveInputs inputs) => null;

    /// <summary>Why the method is not used with a reduction, and what to use instead.</summary>
    /// <param name="reduction">The reduction asked for.</param>
    /// <returns>A sentence; null when the two go together.</returns>
    public virtual string? RefusalReason(LossReduction reduction) => Reductions.Contains(reduction)
        ? null
        : $"{Name} is not defined with {reduction}. Use {string.Join(" or ", Enum.GetValues<LossReduction>().Where(Reductions.Contains))}.";

    /// <summary>Every parameter out of range, with what is allowed; empty when the objective can be used.</summary>
    public virtual IEnumerable<string> Validate() => [];
}
