using Grpo.Tensors;
using TorchSharp;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>h = x + attention(norm(x)); h + mlp(norm(h)).</summary>
internal sealed class Qwen2DecoderLayer : nn.Module<Tensor, AttentionContext, Tensor>
{
    [ComponentName(Name = "input_layernorm")] private readonly RmsNorm _attentionNorm;
    [ComponentName(Name = "self_attn")] private readonly Qwen2Attention _attention;
    [ComponentName(Name = "post_attention_layernorm")] private readonly RmsNorm _mlpNorm;
    [ComponentName(Name = "mlp")] private readonly Qwen2Mlp _mlp;

    internal Qwen2DecoderLayer(Qwen2Config config, int layer, ParameterPlace place)
        : base(nameof(Qwen2DecoderLayer))
    {
        _attentionNorm = new RmsNorm(config.HiddenSize, config.RmsNormEpsilon, place);
        _attention = new Qwen2Attention(config, layer, place);
        _mlpNorm = new RmsNorm(config.HiddenSize, config.RmsNormEpsilon, place);
        _mlp = new Qwen2Mlp(config, place);
        RegisterComponents();
    }

    /// <param name="hidden">[B, T, H].</param>
    /// <param name="context">Of this pass.</param>
    /// <returns>[B, T, H].</returns>
    public override Tensor forward(Tensor hidden, AttentionContext context)
    {
        using var scope = TensorScope.Begin();
        Tensor attended = hidden + _attention.call(_attentionNorm.call(hidden), context);
        return scope.Keep(attended + _mlp.call(_mlpNorm.call(attended), context));
    }
}
