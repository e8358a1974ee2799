using Grpo.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>Embedding, decoder layers and the final norm: token ids to hidden states.</summary>
/// <remarks>Hidden states have the type of the pass, and every module takes its weights in the type of what it gets.</remarks>
internal sealed class Qwen2Model : nn.Module<Tensor, AttentionContext, Tensor>
{
    [ComponentName(Name = "embed_tokens")] private readonly TokenEmbedding _embedding;
    [ComponentName(Name = "layers")] private readonly ModuleList<Qwen2DecoderLayer> _layers;
    [ComponentName(Name = "norm")] private readonly RmsNorm _finalNorm;

    internal Qwen2Model(Qwen2Config config, ParameterPlace place)
        : base(nameof(Qwen2Model))
    {
        _embedding = new TokenEmbedding(config.VocabularySize, config.HiddenSize, place);
        _layers = new ModuleList<Qwen2DecoderLayer>(
            [.. Enumerable.Range(0, config.LayerCount).Select(layer => new Qwen2DecoderLayer(config, layer, place))]);
        _finalNorm = new RmsNorm(config.HiddenSize, config.RmsNormEpsilon, place);
        RegisterComponents();
    }

    /// <summary>[V, H].</summary>
    internal Tensor EmbeddingWeight => _embedding.Weight;

    /// <summary>Whether a pass with gradients keeps only the layers' inputs.</summary>
    internal bool GradientCheckpointing { get; set; }

    /// <param name="tokenIds">[B, T] int64.</param>
    /// <param name="context">Of this pass.</param>
    /// <returns>[B, T, H], normalised. Owned by the caller's scope.</returns>
    public override Tensor forward(Tensor tokenIds, AttentionContext context)
    {
        using var scope = TensorScope.Begin();
        Tensor hidden = _embedding.call(tokenIds).In(context.Type);                                      // [B, T, H]
        hidden = GradientCheckpointing && is_grad_enabled()
            ? CheckpointedLayers.Run([.. _layers], hidden, context)
            : RunLayers(hidden, context);
        return scope.Keep(_finalNorm.call(hidden));
    }

    private Tensor RunLayers(Tensor hidden, AttentionContext context)
    {
        foreach (Qwen2DecoderLayer layer in _layers)
        {
            Tensor next = layer.call(hidden, context);
            // Frees a layer's input when nothing needs it any more; with gradients on, the graph holds it.
            hidden.Dispose();
            hidden = next;
        }

        return hidden;
    }
}
