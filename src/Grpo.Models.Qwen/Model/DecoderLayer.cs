using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Tensors;
using Grpo.Tensors;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>A decoder layer: h = x + attention(norm(x)), then h + mlp(norm(h)).</summary>
internal sealed class DecoderLayer : nn.Module<Tensor, AttentionContext, Tensor>
{
    [ComponentName(Name = "input_layernorm")] private readonly RmsNorm _attentionNorm;
    [ComponentName(Name = "self_attn")] private readonly SelfAttention _attention;
    [ComponentName(Name = "post_attention_layernorm")] private readonly RmsNorm _mlpNorm;
    [ComponentName(Name = "mlp")] private readonly FeedForward _mlp;

    internal DecoderLayer(DecoderConfig config, int layer, ParameterPlacement placement)
        : base(nameof(DecoderLayer))
    {
        _attentionNorm = new RmsNorm(config.HiddenSize, config.RmsNormEpsilon, placement);
        _attention = new SelfAttention(config, layer, placement);
        _mlpNorm = new RmsNorm(config.HiddenSize, config.RmsNormEpsilon, placement);
        _mlp = new FeedForward(config, placement);
        RegisterComponents();
    }

    /// <summary>Computes the hidden states after the layer.</summary>
    /// <param name="hidden">The hidden states, [B, T, H].</param>
    /// <param name="context">The context of this pass.</param>
    /// <returns>The hidden states after the layer, [B, T, H].</returns>
    public override Tensor forward(Tensor hidden, AttentionContext context)
    {
        using var scope = TensorScope.Begin();
        Tensor attended = hidden + _attention.call(_attentionNorm.call(hidden), context);
        return scope.Keep(attended + _mlp.call(_mlpNorm.call(attended), context));
    }
}
