using TorchSharp;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>SwiGLU: down(silu(gate(x)) · up(x)).</summary>
internal sealed class Qwen2Mlp : nn.Module<Tensor, AttentionContext, Tensor>
{
    [ComponentName(Name = "gate_proj")] private readonly Projection _gate;
    [ComponentName(Name = "up_proj")] private readonly Projection _up;
    [ComponentName(Name = "down_proj")] private readonly Projection _down;

    internal Qwen2Mlp(Qwen2Config config, ParameterPlace place)
        : base(nameof(Qwen2Mlp))
    {
        _gate = new Projection(config.HiddenSize, config.IntermediateSize, hasBias: false, place);
        _up = new Projection(config.HiddenSize, config.IntermediateSize, hasBias: false, place);
        _down = new Projection(config.IntermediateSize, config.HiddenSize, hasBias: false, place);
        RegisterComponents();
    }

    /// <param name="hidden">[B, T, H].</param>
    /// <param name="context">Of this pass.</param>
    /// <returns>[B, T, H].</returns>
    public override Tensor forward(Tensor hidden, AttentionContext context)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(_down.call(nn.functional.silu(_gate.call(hidden, context)) * _up.call(hidden, context), context));
    }
}
