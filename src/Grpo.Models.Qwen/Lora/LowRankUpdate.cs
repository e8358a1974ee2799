using Grpo.Models.Qwen.Tensors;
using Grpo.Tensors;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Lora;

/// <summary>The adapter of one layer: x → scale · B(A(dropout(x))), computed in float32 whatever the type of x.</summary>
internal sealed class LowRankUpdate
{
    private readonly double _dropout;
    private readonly double _scale;
    private readonly ulong _key;

    /// <param name="name">The name of the adapted layer. With the seed it decides the random numbers.</param>
    /// <param name="shape">The shape and device of the adapted layer.</param>
    /// <param name="options">The options. They are valid.</param>
    internal LowRankUpdate(string name, LinearShape shape, LoraOptions options)
    {
        var placement = new ParameterPlacement(shape.Device, ScalarType.Float32);
        _dropout = options.Dropout;
        _scale = options.Scale;
        _key = CounterRandom.Key(options.Seed, step: 0, name, sample: 0);
        Down = new LowRankFactor(shape.Inputs, options.Rank, placement);
        Up = new LowRankFactor(options.Rank, shape.Outputs, placement);
        using var scope = TensorScope.BeginNoGrad();
        DeviceTransfer.Copy(UniformBelow(1 / Math.Sqrt(shape.Inputs), Down.Weight.shape), Down.Weight);
        Up.Weight.zero_();
    }

    /// <summary>The factor A, [r, in].</summary>
    internal LowRankFactor Down { get; }

    /// <summary>The factor B, [out, r].</summary>
    internal LowRankFactor Up { get; }

    /// <summary>Computes the update of a layer's output.</summary>
    /// <param name="input">The input of the layer, […, in].</param>
    /// <param name="pass">The state of the adapter, which is on.</param>
    /// <returns>The update, […, out] float32. Owned by the caller's scope.</returns>
    internal Tensor Apply(Tensor input, LoraPass pass)
    {
        using var scope = TensorScope.Begin();
        Tensor wide = input.to(ScalarType.Float32);
        if (pass.DropoutKey is { } key)
        {
            wide = wide * DropoutMask(wide, CounterRandom.Combine(key, _key));
        }

        Tensor low = nn.functional.linear(wide, Down.Weight) * _scale;                                   // […, r]
        return scope.Keep(nn.functional.linear(low, Up.Weight));
    }

    /// <summary>Computes scale · B·A, which merging adds to W. [out, in] float32. Owned by the caller's scope.</summary>
    internal Tensor Product()
    {
        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(Up.Weight.mm(Down.Weight).mul_(_scale));
    }

    /// <summary>Computes the Frobenius norm of scale · B·A without forming the product: ‖BA‖² = Σ (BᵀB) ∘ (AAᵀ).</summary>
    internal double Norm()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor up = Up.Weight.to(ScalarType.Float64), down = Down.Weight.to(ScalarType.Float64);
        Tensor squares = up.t().mm(up).mul_(down.mm(down.t())).sum();
        return _scale * Math.Sqrt(Math.Max(0, DeviceTransfer.ToNumber<double>(squares))); // rounding could make 0 negative
    }

    // 0 or 1 / (1 − p), so that the mean is preserved. Sampled on the CPU, so that every device gets the same mask. TorchSharp's generators
    // live on the CPU, even those created for a GPU, and GPU operations refuse them.
    private Tensor DropoutMask(Tensor input, ulong key)
    {
        using var scope = TensorScope.BeginNoGrad();
        using var generator = new Generator(key);
        Tensor mask = empty(input.shape, ScalarType.Float32, CPU).bernoulli_(1 - _dropout, generator).div_(1 - _dropout);
        return scope.Keep(DeviceTransfer.ToDevice(mask, input.device));
    }

    private Tensor UniformBelow(double bound, long[] shape)
    {
        float[] values = new float[shape[0] * shape[1]];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = (float)(((2 * CounterRandom.Uniform(_key, i)) - 1) * bound);
        }

        return tensor(values, shape, device: CPU);
    }
}

/// <summary>One of the two trained factors of a low-rank update: a module with nothing but a parameter called <c>weight</c>.</summary>
internal sealed class LowRankFactor : nn.Module
{
    [ComponentName(Name = "weight")] private readonly Parameter _weight;

    /// <param name="inputs">The number of columns.</param>
    /// <param name="outputs">The number of rows.</param>
    /// <param name="placement">The device and type of the weight.</param>
    internal LowRankFactor(long inputs, long outputs, ParameterPlacement placement)
        : base(nameof(LowRankFactor))
    {
        _weight = placement.Allocate(outputs, inputs);
        RegisterComponents();
    }

    /// <summary>The factor, [out, in].</summary>
    internal Tensor Weight => _weight;

    /// <summary>The factor as the parameter that an optimizer trains.</summary>
    internal Parameter WeightParameter => _weight;
}

/// <summary>Implemented by layers whose weight an adapter can change.</summary>
internal interface IAdaptable
{
    /// <summary>The shape and device of the layer.</summary>
    LinearShape Shape { get; }

    /// <summary>True if an update can be added to <see cref="Weight"/>.</summary>
    bool CanMerge { get; }

    /// <summary>The weight of the layer, [out, in], if <see cref="CanMerge"/>. Owned by the layer.</summary>
    Tensor Weight { get; }

    /// <summary>Computes the Frobenius norm of the weight, in any format.</summary>
    double WeightNorm();

    /// <summary>Adds an adapter, whose parameters become parameters of this layer.</summary>
    /// <param name="update">The adapter. Owned by the layer from now on.</param>
    void Attach(LowRankUpdate update);
}

/// <summary>The shape and device of a linear layer.</summary>
/// <param name="Outputs">The number of outputs.</param>
/// <param name="Inputs">The number of inputs.</param>
/// <param name="Device">The device of the weight.</param>
internal readonly record struct LinearShape(long Outputs, long Inputs, Device Device)
{
    /// <summary>Returns the shape of a layer with a weight [out, in].</summary>
    internal static LinearShape FromWeight(Tensor weight) => new(weight.shape[0], weight.shape[1], weight.device);
}
