using static TorchSharp.torch;

namespace Grpo.Losses;

/// <summary>The per-token loss of a policy-gradient method. Derive from it to plug in one of your own.</summary>
/// <remarks>Immutable: the parameters of a method are the properties of its record. The KL term is added by the loop, never in here.</remarks>
public abstract record PolicyObjective
{
    /// <summary>The field's name of the method, as shown in plans and reports.</summary>
    public abstract string Name { get; }

    /// <summary>The reductions with which the method means what its paper says; others are refused, with this reason.</summary>
    /// <value>Default: all of them.</value>
    public virtual IReadOnlySet<LossReduction> Reductions { get; } = new HashSet<LossReduction>(Enum.GetValues<LossReduction>());

    /// <summary>ℓ of every token.</summary>
    /// <param name="inputs">The micro-batch.</param>
    /// <returns>[B, C] float32, differentiable in the log-probs, finite also where the mask is 0. Owned by the caller's scope.</returns>
    public abstract Tensor PerToken(ObjectiveInputs inputs);

    /// <summary>Every parameter out of range, with what is allowed; empty when the objective can be used.</summary>
    public virtual IEnumerable<string> Validate() => [];
}
