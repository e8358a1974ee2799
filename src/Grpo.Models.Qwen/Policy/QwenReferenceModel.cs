using Grpo.Modeling;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Policy;
using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>A reference model that is a frozen model of Qwen2, Qwen3 or Llama. The KL term compares the policy with it.</summary>
public sealed class QwenReferenceModel : IReferenceModel, IHasIdentity, IDisposable
{
    private readonly CausalLM _model;

    /// <summary>Creates a reference that owns a model and freezes it.</summary>
    /// <param name="model">The model. The reference disposes it and turns off the gradients of its parameters.</param>
    public QwenReferenceModel(CausalLM model)
    {
        ArgumentNullException.ThrowIfNull(model);
        _model = model;
        _model.Freeze();
    }

    /// <summary>Copies the current weights of a policy, in the type in which the policy computes.</summary>
    /// <param name="policy">The policy. Borrowed.</param>
    /// <param name="device">The device of the copy; null means the device of the policy.</param>
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
    /// <remarks>The weights are the current ones of the reference. An optimizer asks before it moves them.</remarks>
    public PlugInIdentity Identity => ModelIdentity.Describe(_model);

    /// <inheritdoc/>
    /// <remarks>
    /// The batch may be on another device than the weights. Then the tokens are sent there and the log-probs, one number
    /// per token, sent back.
    /// </remarks>
    public Tensor LogProbs(TokenBatch batch, double temperature)
    {
        ArgumentNullException.ThrowIfNull(batch);
        ObjectDisposedException.ThrowIf(_model.IsDisposed, this);
        using var scope = TensorScope.BeginNoGrad();
        Tensor logProbs = CompletionLogProbs.Compute(_model, batch.To(_model.Device), temperature);
        return scope.Keep(DeviceTransfer.ToDevice(logProbs, batch.PromptIds.device));
    }

    /// <summary>Frees the model.</summary>
    public void Dispose() => _model.Dispose();
}
