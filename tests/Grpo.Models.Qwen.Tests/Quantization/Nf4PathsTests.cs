using System.Runtime.Intrinsics.X86;
using CsCheck;
using Grpo.Models.Qwen.Cpu;
using Grpo.Models.Qwen.Quantization;
using Grpo.Models.Qwen.Tensors;
using Grpo.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests.Quantization;

/// <summary>Every path reads the same numbers from the bytes, and products are those of the numbers.</summary>
public sealed class Nf4PathsTests
{
    [Fact]
    public unsafe void All_vector_widths_and_torchs_operators_give_the_same_bits() =>
        Gen.Select(Gen.Int[1, 50], Gen.Int[1, 300], Gen.ULong).Sample((outputs, inputs, seed) =>
        {
            using var scope = TensorScope.BeginNoGrad();
            using var generator = new Generator(seed);
            Nf4Data data = Nf4Quantizer.Quantize(randn([outputs, inputs], generator: generator));
            var source = new Nf4Source(data);
            long blocks = data.Layout.Blocks;
            Tensor expected = Nf4Weight.ByOperators(data, 0, blocks);
            Tensor actual = empty_like(expected);
            float* values = CpuMemory.Address(actual);
            source.DequantizeByTable(0, blocks, values);
            TensorAssert.Identical(expected, actual, "table");
            if (Avx2.IsSupported)
            {
                actual.zero_();
                source.DequantizeBy256Bits(0, blocks, values);
                TensorAssert.Identical(expected, actual, "256 bits");
            }

            if (Avx512F.IsSupported)
            {
                actual.zero_();
                source.DequantizeBy512Bits(0, blocks, values);
                TensorAssert.Identical(expected, actual, "512 bits");
            }

            Tensor numbers = Nf4Weight.Dequantize(data, ScalarType.Float32);
            TensorAssert.Identical(expected.narrow(0, 0, numbers.numel()).view_as(numbers), numbers, "the whole weight");
            TensorAssert.Identical(numbers.to(ScalarType.BFloat16), Nf4Weight.Dequantize(data, ScalarType.BFloat16), "bfloat16");
            long last = blocks - 1;
            TensorAssert.Identical(expected.narrow(0, 64 * last, 64), Nf4Weight.ByOperators(data, last, 1), "the last block alone");
        }, iter: 60, threads: 1);

    [Fact]
    public void A_weight_of_several_parts_is_converted_in_parts()
    {
        using var scope = TensorScope.BeginNoGrad();
        Nf4Data data = Nf4Quantizer.Quantize(randn(2100, 2048)); // 4,300,800 numbers, more than 2²²
        Tensor all = Nf4Weight.ByOperators(data, 0, data.Layout.Blocks).view(2100, 2048);
        TensorAssert.Identical(all, Nf4Weight.Dequantize(data, ScalarType.Float32), "float32");
        TensorAssert.Identical(all.to(ScalarType.BFloat16), Nf4Weight.Dequantize(data, ScalarType.BFloat16), "bfloat16");
    }

    [Theory]
    [InlineData(192, 128)] // tiles in the cache
    [InlineData(192, 96)]  // rows that do not begin with a block
    [InlineData(30, 128)]  // rows that do not come in fours
    public void A_decoding_product_is_that_of_the_numbers_bit_for_bit(int outputs, int inputs) =>
        Gen.Select(Gen.Int[1, 40], Gen.Bool, Gen.Bool, Gen.ULong).Sample((rows, hasBias, isSingle, seed) =>
        {
            using var scope = TensorScope.BeginNoGrad();
            using var generator = new Generator(seed);
            ScalarType type = isSingle ? ScalarType.Float32 : ScalarType.BFloat16;
            Nf4Data data = Nf4Quantizer.Quantize(randn([outputs, inputs], generator: generator));
            Tensor input = randn([rows, 1, inputs], generator: generator).to(type);
            Tensor? bias = hasBias ? randn([outputs], generator: generator).to(type) : null;
            TensorAssert.Identical(
                DecodingLinear.Apply(input, Nf4Weight.Dequantize(data, type), bias, int8: null),
                Nf4DecodingLinear.Apply(input, data, bias), "product");
        }, iter: 30, threads: 1);

    [Fact]
    public void Product_and_gradient_are_those_of_the_numbers_bit_for_bit() =>
        Gen.Select(Gen.Int[1, 70], Gen.Int[1, 60], Gen.Int[1, 60], Gen.Bool, Gen.Bool).Sample((rows, inputs, outputs, hasBias, isSingle) =>
        {
            using var scope = TensorScope.Begin();
            ScalarType type = isSingle ? ScalarType.Float32 : ScalarType.BFloat16;
            Nf4Data data = Nf4Quantizer.Quantize(randn(outputs, inputs));
            Tensor numbers = Nf4Weight.Dequantize(data, type), start = randn(2, rows, inputs).to(type);
            Tensor? bias = hasBias ? randn(outputs).to(type) : null;
            Tensor upstream = randn(2, rows, outputs).to(type);
            (Tensor expected, Tensor expectedGradient) = Run(input => FastLinear.Apply(input, numbers, bias));
            (Tensor actual, Tensor gradient) = Run(input => Nf4Linear.Apply(input, data, bias));
            TensorAssert.Identical(expected, actual, "product");
            TensorAssert.Identical(expectedGradient, gradient, "gradient");

            (Tensor Result, Tensor Gradient) Run(Func<Tensor, Tensor> apply)
            {
                Tensor input = start.detach().requires_grad_(true);
                Tensor result = apply(input);
                result.backward([upstream]);
                return (result.detach(), input.grad!);
            }
        }, iter: 60, threads: 1);

    [Fact]
    public void A_weight_keeps_its_numbers_when_its_module_changes_type()
    {
        using var scope = TensorScope.BeginNoGrad();
        using var weight = new Nf4Weight(5, 70, new ParameterPlacement(CPU, ScalarType.Float32));
        weight.Quantize(randn(5, 70));
        Tensor before = Nf4Weight.Dequantize(weight.Data, ScalarType.Float32);
        weight.to(ScalarType.BFloat16);
        TensorAssert.Identical(before, Nf4Weight.Dequantize(weight.Data, ScalarType.Float32), "numbers");
    }
}
