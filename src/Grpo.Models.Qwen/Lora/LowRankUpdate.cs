using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen;

/// <summary>The adapter of one projection: x → scale · B(A(dropout(x))), in float32 whatever the type of x.</summary>
internal sealed class LowRankUpdate
{
    private readonly double _dropout;
    private readonly double _scale;
    private readonly ulong _key;

    /// <param name="name">Of the adapted projection; decides the random numbers together with the seed.</param>
    /// <param name="weight">Of the adapted projection, [out, in].</param>
    /// <param name="options">Valid.</param>
    internal LowRankUpdate(string name, Tensor weight, LoraOptions options)
    {
        var place = new ParameterPlace(weight.device, ScalarType.Float32);
        _dropout = options.Dropout;
        _scale = options.Scale;
        _key = CounterRandom.Key(options.Seed, step: 0, name, sample: 0);
        Down = new Projection(weight.shape[1], options.Rank, hasBias: false, place);
        Up = new Projection(options.Rank, weight.shape[0], hasBias: false, place);
        using var scope = TensorScope.BeginNoGrad();
        Down.Weight.copy_(UniformBelow(1 / Math.Sqrt(weight.shape[1]), Down.Weight.shape));
        Up.Weight.zero_();
    }

    /// <summary>A, [r, in].</summary>
    internal Projection Down { get; }

    /// <summary>B, [out, r].</summary>
    internal Projection Up { get; }

    /// <param name="input">[…, in].</param>
    /// <param name="pass">With the adapter on.</param>
    /// <returns>[…, out] float32. Owned by the caller's scope.</returns>
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

    /// <summary>scale · B·A, what merging adds to W. [out, in] float32. Owned by the caller's scope.</summary>
    internal Tensor Product()
    {
        using var scope = TensorScope.BeginNoGrad();
        return scope.Keep(Up.Weight.mm(Down.Weight).mul_(_scale));
    }

    // 0, or 1 / (1 − p) so that the mean stays. Drawn on the host, where every device gets the same mask: TorchSharp's generators are of the
    // CPU, also one that is made for a GPU, and the GPU's operations refuse such a one.
    private Tensor DropoutMask(Tensor input, ulong key)
    {
        using var scope = TensorScope.BeginNoGrad();
        using var generator = new Generator(key);
        Tensor mask = empty(input.shape, ScalarType.Float32).bernoulli_(1 - _dropout, generator).div_(1 - _dropout);
        return scope.Keep(mask.to(input.device));
    }

    private Tensor UniformBelow(double bound, long[] shape)
    {
        float[] values = new float[shape[0] * shape[1]];
        for (int i = 0; i < values.Length; i++)
        {
            values[i] = (float)(((2 * CounterRandom.Uniform(_key, i)) - 1) * bound);
        }

        return tensor(values, shape);
    }
}
