using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Tensors;
using Grpo.Tensors;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>The embedding, the decoder layers and the final norm: token ids to hidden states.</summary>
/// <remarks>The hidden states have the type of the pass. Every module converts its weights to the type of its input.</remarks>
internal sealed class Decoder : nn.Module<Tensor, AttentionContext, Tensor>
{
    [ComponentName(Name = "embed_tokens")] private readonly TokenEmbedding _embedding;
    [ComponentName(Name = "layers")] private readonly ModuleList<DecoderLayer> _layers;
    [ComponentName(Name = "norm")] private readonly RmsNorm _finalNorm;

    internal Decoder(DecoderConfig config, ParameterPlacement placement)
        : base(nameof(Decoder))
    {
        _embedding = new TokenEmbedding(config.VocabularySize, config.HiddenSize, placement);
        _layers = new ModuleList<DecoderLayer>(
            [.. Enumerable.Range(0, config.LayerCount).Select(layer => new DecoderLayer(config, layer, placement))]);
        _finalNorm = new RmsNorm(config.HiddenSize, config.RmsNormEpsilon, placement);
        RegisterComponents();
    }

    /// <summary>The weight of the token embedding, [V, H].</summary>
    internal Tensor EmbeddingWeight => _embedding.Weight;

    /// <summary>True if a pass with gradients saves only the inputs of the layers.</summary>
    internal bool GradientCheckpointing { get; set; }

    /// <summary>Computes the hidden states of all tokens.</summary>
    /// <param name="tokenIds">The token ids, [B, T] int64.</param>
    /// <param name="context">The context of this pass.</param>
    /// <returns>The normalized hidden states, [B, T, H]. Owned by the caller's scope.</returns>
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
        foreach (DecoderLayer layer in _layers)
        {
            Tensor next = layer.call(hidden, context);
            // Frees the input of a layer after its last use. With gradients on, the graph keeps it alive.
            hidden.Dispose();
            hidden = next;
        }

        return hidden;
    }
}
