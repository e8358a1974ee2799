using Grpo.Tensors;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>
/// Gradient checkpointing: the forward pass keeps only what enters each layer, and the backward pass runs one layer at a time again, with
/// gradients. Activations then cost L inputs and one layer's graph instead of L graphs, for about one more forward pass.
/// </summary>
/// <remarks>A layer must compute the same both times: there is nothing random in it.</remarks>
internal sealed class CheckpointedLayers : SafeFunction<CheckpointedLayers>
{
    private const string LayersKey = "layers";
    private const string ContextKey = "context";

    /// <inheritdoc/>
    public override string Name => nameof(CheckpointedLayers);

    /// <summary>Runs the layers.</summary>
    /// <param name="layers">At least one.</param>
    /// <param name="hidden">[B, T, H].</param>
    /// <param name="context">Of this pass, without cache.</param>
    /// <returns>[B, T, H]. Owned by the caller's scope.</returns>
    internal static Tensor Run(IReadOnlyList<Qwen2DecoderLayer> layers, Tensor hidden, AttentionContext context)
    {
        using var scope = TensorScope.Begin();
        // Autograd calls back only where an input has a gradient; with a frozen embedding none would have.
        Tensor input = hidden.requires_grad ? hidden : hidden.detach().requires_grad_(true);
        return scope.Keep(apply(input, layers, context));
    }

    /// <inheritdoc/>
    protected override Tensor Compute(autograd.AutogradContext context, object[] inputs)
    {
        (Tensor hidden, var layers, var attention) = ((Tensor)inputs[0], (IReadOnlyList<Qwen2DecoderLayer>)inputs[1], (AttentionContext)inputs[2]);
        using var scope = TensorScope.BeginNoGrad();
        var entering = new List<Tensor>();
        foreach (Qwen2DecoderLayer layer in layers)
        {
            entering.Add(hidden);
            // Kept, because torch takes hold of what is saved only after this method has returned; the scope of Run frees them.
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
        var layers = (IReadOnlyList<Qwen2DecoderLayer>)context.get_data(LayersKey);
        AttentionContext attention = ((AttentionContext)context.get_data(ContextKey)).With(saved[layers.Count..]);
        Tensor upstream = gradient;
        for (int i = layers.Count - 1; i >= 0; i--)
        {
            using var layerScope = TensorScope.Begin();
            Tensor input = saved[i].detach().requires_grad_(true);
            Tensor output = layers[i].call(input, attention);
            autograd.backward([output], [upstream]);                                                     // weights receive theirs here
            upstream.Dispose();
            upstream = layerScope.Keep(input.grad!);
        }

        return [scope.Keep(upstream), null!, null!];
    }
}
