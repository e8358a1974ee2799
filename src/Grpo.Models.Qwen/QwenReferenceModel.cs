using Grpo.Modeling;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>A frozen Qwen2 model that the KL term compares the policy with.</summary>
public sealed class QwenReferenceModel : IReferenceModel, IHasIdentity, IDisposable
{
    private readonly Qwen2ForCausalLM _model;

    /// <summary>Freezes a model.</summary>
    /// <param name="model">The model. The reference owns it from now on and turns the gradients of its parameters off.</param>
    public QwenReferenceModel(Qwen2ForCausalLM model)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
        using var scope = TensorScope.BeginNoGrad();
        foreach (Tensor parameter in model.parameters())
        {
            parameter.requires_grad_(false); // returns a second handle
        }
    }

    /// <summary>The policy's weights as they are now, in a copy of their own and in the type that the policy computes in.</summary>
    /// <param name="policy">The policy. Borrowed.</param>
    /// <param name="device">Where the copy lives; null: with the policy.</param>
    public static QwenReferenceModel CopyOf(QwenPolicy policy, Device? device = null)
    {
        ArgumentNullException.ThrowIfNull(policy);
        return new QwenReferenceModel(policy.Model.Clone(device, policy.Model.ComputeType));
    }

    /// <inheritdoc/>
    public nn.Module Module
    {
        get
        {
            ObjectDisposedException.ThrowIf(_model.IsDisposed, this);
            return _model;
        }
    }

    /// <inheritdoc/>
    /// <remarks>The weights are those that the reference has now; an optimizer asks before it moves them.</remarks>
    public PlugInIdentity Identity => ModelIdentity.Of("Qwen2", _model);

    /// <inheritdoc/>
    /// <remarks>The batch may be on another device than the weights: the tokens go there, and the log-probs, a number a token, come back.</remarks>
    public Tensor LogProbs(TokenBatch batch, double temperature)
    {
        ArgumentNullException.ThrowIfNull(batch);
        ObjectDisposedException.ThrowIf(_model.IsDisposed, this);
        using var scope = TensorScope.BeginNoGrad();
        Tensor logProbs = CompletionLogProbs.Compute(_model, batch.To(_model.Device), temperature);
        return scope.Keep(logProbs.to(batch.PromptIds.device));
    }

    /// <summary>Frees the model.</summary>
    public void Dispose() => _model.Dispose();
}
