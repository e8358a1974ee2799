using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Tensors;
using Grpo.Tensors;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>A decoder layer: h = x + attention(norm(x)), then h + mlp(norm(h)).</summary>
internal sealed class Qwen2DecoderLayer : nn.Module<Tensor, AttentionContext, Tensor>
{
    [ComponentName(Name = "input_layernorm")] private readonly RmsNorm _attentionNorm;
    [ComponentName(Name = "self_attn")] private readonly Qwen2Attention _attention;
    [ComponentName(Name = "post_attention_layernorm")] private readonly RmsNorm _mlpNorm;
    [ComponentName(Name = "mlp")] private readonly Qwen2Mlp _mlp;

    internal Qwen2DecoderLayer(Qwen2Config config, int layer, ParameterPlacement placement)
        : base(nameof(Qwen2DecoderLayer))
    {
        _attentionNorm = new RmsNorm(config.HiddenSize, config.RmsNormEpsilon, placement);
        _attention = new Qwen2Attention(config, layer, placement);
        _mlpNorm = new RmsNorm(config.HiddenSize, config.RmsNormEpsilon, placement);
        _mlp = new Qwen2Mlp(config, placement);
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
