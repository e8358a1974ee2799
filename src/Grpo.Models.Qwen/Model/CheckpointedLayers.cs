using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>
/// Gradient checkpointing: the forward pass saves only the input of each layer, and the backward pass computes the layers again,
/// one at a time.
/// </summary>
/// <remarks>
/// Activations then take L inputs and one layer's graph instead of L graphs, for about one more forward pass. A layer must compute the same
/// both times, so nothing in it may be random.
/// </remarks>
internal sealed class CheckpointedLayers : SafeFunction<CheckpointedLayers>
{
    private const string LayersKey = "layers";
    private const string ContextKey = "context";

    /// <inheritdoc/>
    public override string Name => nameof(CheckpointedLayers);

    /// <summary>Runs the layers.</summary>
    /// <param name="layers">The layers, at least one.</param>
    /// <param name="hidden">The hidden states, [B, T, H].</param>
    /// <param name="context">The context of this pass, without a cache.</param>
    /// <returns>The hidden states after the last layer, [B, T, H]. Owned by the caller's scope.</returns>
    internal static Tensor Run(IReadOnlyList<DecoderLayer> layers, Tensor hidden, AttentionContext context)
    {
        using var scope = TensorScope.Begin();
        // Autograd calls the backward pass only if an input needs a gradient. With a frozen embedding none would.
        Tensor input = hidden.requires_grad ? hidden : hidden.detach().requires_grad_(true);
        return scope.Keep(apply(input, layers, context));
    }

    /// <inheritdoc/>
    protected override Tensor Compute(autograd.AutogradContext context, object[] inputs)
    {
        (Tensor hidden, var layers, var attention) =
            ((Tensor)inputs[0], (IReadOnlyList<DecoderLayer>)inputs[1], (AttentionContext)inputs[2]);
        using var scope = TensorScope.BeginNoGrad();
        var entering = new List<Tensor>();
        foreach (DecoderLayer layer in layers)
        {
            entering.Add(hidden);
            // Kept, because torch saves the tensors only after this method has returned. The scope of Run frees them.
            hidden = scope.Keep(layer.call(hidden, attention));
        }

        context.set_materialize_grads(false);
        context.save_for_backward([.. entering, .. attention.Tensors()]);
        context.save_data(LayersKey, layers);
        context.save_data(ContextKey, attention);
        return hidden;
    }

    /// <inheritdoc/>
    protected override List<Tensor> Differentiate(autograd.AutogradContext context, Tensor gradient)
    {
        using Tensor owned = gradient;                                                                   // [B, T, H], ours to free
        if (gradient.IsInvalid)
        {
            return [null!, null!, null!];
        }

        using var scope = TensorScope.Begin();
        using IDisposable withGradients = enable_grad();
        List<Tensor> saved = context.get_saved_variables();
        var layers = (IReadOnlyList<DecoderLayer>)context.get_data(LayersKey);
        AttentionContext attention = ((AttentionContext)context.get_data(ContextKey)).With(saved[layers.Count..]);
        Tensor upstream = gradient;
        for (int i = layers.Count - 1; i >= 0; i--)
        {
            using var layerScope = TensorScope.Begin();
            Tensor input = saved[i].detach().requires_grad_(true);
            Tensor output = layers[i].call(input, attention);
            // accumulates the gradients of the weights
            autograd.backward([output], [upstream]);
            upstream.Dispose();
            upstream = layerScope.Keep(input.grad!);
        }

        return [scope.Keep(upstream), null!, null!];
    }
}
