using Grpo.Modeling;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Policy;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>
/// A reference model for a policy with an adapter: the policy's own frozen weights with the adapter off. It needs no second
/// copy of the weights.
/// </summary>
/// <remarks>
/// Its log-probs are bit for bit those of the base model. The base never moves toward the policy, so
/// <see cref="GrpoOptions.ReferenceSyncEvery"/> is refused.
/// </remarks>
public sealed class AdapterOffReference : IReferenceModel, IHasIdentity
{
    private readonly CausalLM _model;

    /// <summary>Creates a reference that borrows the policy's model.</summary>
    /// <param name="policy">A policy with an adapter. It must outlive the reference.</param>
    /// <exception cref="ArgumentException">The policy has no adapter.</exception>
    public AdapterOffReference(QwenPolicy policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        if (policy.Model.Adapter is null)
        {
            throw new ArgumentException(
                "The policy has no adapter, so its own weights are trained and cannot be the reference. "
                + $"Use {nameof(QwenReferenceModel)}.CopyOf.", nameof(policy));
        }

        _model = policy.Model;
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The adapter is merged into the weights.</exception>
    public PlugInIdentity Identity => ModelIdentity.Describe(_model, " with its adapter off");

    /// <inheritdoc/>
    /// <exception cref="InvalidOperationException">The adapter is merged into the weights.</exception>
    public Tensor LogProbs(TokenBatch batch, double temperature)
    {
        ObjectDisposedException.ThrowIf(_model.IsDisposed, this);
        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(_model.Adapter!.Without(() => CompletionLogProbs.Compute(_model, batch, temperature)));
    }
}
