using CsCheck;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Core.Tests.Tensors;

public sealed class FastLinearTests
{
    [Fact]
    public void A_convolution_gives_the_linear_and_its_gradients() =>
        Gen.Select(Gen.Int[1, 70], Gen.Int[1, 60], Gen.Int[1, 60], Gen.Bool, Gen.Int[0, 2], Gen.Int[0, 1000])
            .Sample((rows, inputs, outputs, withBias, layout, seed) =>
            {
                using var scope = TensorScope.Begin();
                using var generator = new Generator((ulong)seed);
                Tensor input = layout switch
                {
                    0 => randn([rows, inputs], generator: generator),
                    1 => randn([2, rows, inputs], generator: generator),
                    _ => randn([inputs, rows], generator: generator).t(),
                };
                Tensor weight = layout == 2
                    ? randn([inputs, outputs], generator: generator).t()
                    : randn([outputs, inputs], generator: generator);
                Tensor? bias = withBias ? randn([outputs], generator: generator) : null;
                Tensor upstream = randn([.. input.shape[..^1], outputs], generator: generator);

                Tensor[] expected = Run(input, weight, bias, upstream, nn.functional.linear);
                Tensor[] actual = Run(input, weight, bias, upstream, FastLinear.ApplyAsConvolution);

                Assert.Equal(expected.Length, actual.Length);
                foreach ((Tensor one, Tensor other) in expected.Zip(actual))
                {
                    Assert.Equal(one.shape, other.shape);
                    double scale = Math.Max(1, one.abs().max().ToDouble());
                    Assert.True((one - other).abs().max().ToDouble() <= 1e-5 * scale);
                }
            }, iter: 60, threads: 1);

    [Fact]
    public void Apply_gives_the_linear_where_it_takes_the_way_of_the_convolution()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor input = randn(64, 512), weight = randn(512, 512), bias = randn(512);
        Tensor expected = nn.functional.linear(input, weight, bias), actual = FastLinear.Apply(input, weight, bias);
        Assert.True((expected - actual).abs().max().ToDouble() < 1e-3); // sums of 512 products of size 1
        Assert.Equal(FastLinear.IsFasterAsConvolution(input, weight), !expected.bytes.SequenceEqual(actual.bytes));
    }

    [Fact]
    public void InputGradient_is_autograds_own_bit_for_bit() =>
        Gen.Select(Gen.Int[1, 70], Gen.Int[1, 60], Gen.Int[1, 60], Gen.Bool, Gen.Bool)
            .Sample((rows, inputs, outputs, isDeep, isSingle) =>
            {
                using var scope = TensorScope.Begin();
                ScalarType type = isSingle ? ScalarType.Float32 : ScalarType.BFloat16;
                long[] shape = isDeep ? [2, rows, inputs] : [rows, inputs];
                Tensor input = randn(shape).to(type), weight = randn(outputs, inputs).to(type);
                Tensor upstream = randn([.. shape[..^1], outputs]).to(type);
                Tensor expected = Run(input, weight, bias: null, upstream, FastLinear.Apply)[1];
                Tensor actual = FastLinear.InputGradient(upstream, weight, shape);
                Assert.Equal(expected.shape, actual.shape);
                Assert.True(expected.bytes.SequenceEqual(actual.bytes));
            }, iter: 60, threads: 1);

    [Theory]
    [InlineData(64, 512, 512)]
    [InlineData(300, 896, 1200)]
    public void InputGradient_of_a_convolution_is_autograds_own_bit_for_bit(int rows, int inputs, int outputs)
    {
        int threads = get_num_threads();
        try
        {
            set_num_threads(2); // with one, libtorch's convolution is MKL's product again
            using var scope = TensorScope.Begin();
            Tensor input = randn(rows, inputs), weight = randn(outputs, inputs), upstream = randn(rows, outputs);
            Tensor expected = Run(input, weight, bias: null, upstream, FastLinear.ApplyAsConvolution)[1];
            Assert.True(expected.bytes.SequenceEqual(FastLinear.InputGradientAsConvolution(upstream, weight).bytes));
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    [Theory]
    [InlineData(32, 512, 512, ScalarType.Float32)]  // few rows
    [InlineData(64, 128, 512, ScalarType.Float32)]  // a small weight
    [InlineData(64, 512, 512, ScalarType.Float64)]
    [InlineData(64, 512, 512, ScalarType.BFloat16)]
    public void Apply_is_libtorchs_linear_where_a_convolution_would_not_be_faster(int rows, int inputs, int outputs, ScalarType type)
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor input = randn(rows, inputs).to(type), weight = randn(outputs, inputs).to(type);
        Assert.False(FastLinear.IsFasterAsConvolution(input, weight));
        Assert.True(FastLinear.Apply(input, weight).bytes.SequenceEqual(nn.functional.linear(input, weight).bytes));
    }

    [Fact]
    public void Equal_calls_give_equal_bits()
    {
        using var scope = TensorScope.BeginNoGrad();
        Tensor input = randn(300, 512), weight = randn(600, 512);
        byte[] first = FastLinear.Apply(input, weight).bytes.ToArray();
        for (int call = 0; call < 5; call++)
        {
            Assert.True(FastLinear.Apply(input, weight).bytes.SequenceEqual(first));
        }
    }

    private static Tensor[] Run(Tensor input, Tensor weight, Tensor? bias, Tensor upstream, Func<Tensor, Tensor, Tensor?, Tensor> apply)
    {
        Tensor x = input.detach().requires_grad_(true), w = weight.detach().requires_grad_(true);
        Tensor? b = bias?.detach().requires_grad_(true);
        Tensor result = apply(x, w, b);
        result.backward([upstream]);
        return [result.detach(), x.grad!, w.grad!, .. b is null ? Array.Empty<Tensor>() : [b.grad!]];
    }
}
