using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Tensors;
using Grpo.Tensors;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Model;

/// <summary>The feed-forward block SwiGLU: down(silu(gate(x)) · up(x)).</summary>
internal sealed class FeedForward : nn.Module<Tensor, AttentionContext, Tensor>
{
    /// <summary>The size in bytes of an inner activation above which a pass without gradients processes the rows in parts.</summary>
    /// <remarks>
    /// From 32 MiB on, glibc requests each block from the system. Clearing the pages of the three activations then took an eighth of a
    /// prefill. Of 4, 8 and 16 MiB, 8 was the fastest.
    /// </remarks>
    internal const long LargestActivation = 8 << 20;

    private readonly long _inner;
    [ComponentName(Name = "gate_proj")] private readonly Projection _gate;
    [ComponentName(Name = "up_proj")] private readonly Projection _up;
    [ComponentName(Name = "down_proj")] private readonly Projection _down;

    internal FeedForward(DecoderConfig config, ParameterPlacement placement)
        : base(nameof(FeedForward))
    {
        _inner = config.IntermediateSize;
        _gate = new Projection(config.HiddenSize, config.IntermediateSize, config.MlpBias, placement);
        _up = new Projection(config.HiddenSize, config.IntermediateSize, config.MlpBias, placement);
        _down = new Projection(config.IntermediateSize, config.HiddenSize, config.MlpBias, placement);
        RegisterComponents();
    }

    /// <summary>Computes the output of the block.</summary>
    /// <param name="hidden">The hidden states, [B, T, H].</param>
    /// <param name="context">The context of this pass.</param>
    /// <returns>The output, [B, T, H].</returns>
    public override Tensor forward(Tensor hidden, AttentionContext context)
    {
        using var scope = TensorScope.Begin();
        long rows = hidden.numel() / hidden.shape[^1], rowsAtOnce = Math.Max(1, LargestActivation / (_inner * hidden.element_size()));
        return scope.Keep(
            rows > rowsAtOnce && MayBeSplit(hidden, context) ? ApplyInParts(hidden, context, rows, rowsAtOnce) : Apply(hidden, context));
    }

    // With gradients all activations are kept anyway. A dropout mask is sampled for all rows together.
    private static bool MayBeSplit(Tensor hidden, AttentionContext context) =>
        !is_grad_enabled() && !DeviceTransfer.IsOnDevice(hidden) && context.Lora?.DropoutKey is null;

    private Tensor ApplyInParts(Tensor hidden, AttentionContext context, long rows, long rowsAtOnce)
    {
        Tensor input = hidden.reshape(rows, -1), result = empty_like(input);
        long parts = (rows + rowsAtOnce - 1) / rowsAtOnce;
        for (long part = 0; part < parts; part++)
        {
            using var scope = TensorScope.Begin();
            (long start, long end) = (rows * part / parts, rows * (part + 1) / parts);
            result.narrow(0, start, end - start).copy_(Apply(input.narrow(0, start, end - start), context));
        }

        return result.view(hidden.shape);
    }

    private Tensor Apply(Tensor hidden, AttentionContext context)
    {
        Tensor gate = _gate.call(hidden, context), up = _up.call(hidden, context);
        // nothing is saved for a backward pass
        Tensor inner = is_grad_enabled() ? Recomputed.Run(Gate, gate, up) : nn.functional.silu(gate, inplace: true).mul_(up);
        return _down.call(inner, context);
    }

    private static Tensor Gate(IReadOnlyList<Tensor> gateAndUp)
    {
        using var scope = TensorScope.Begin();
        return scope.Keep(nn.functional.silu(gateAndUp[0]) * gateAndUp[1]);
    }
}
