using Grpo.Models.Qwen.Config;
using Grpo.Models.Qwen.Cpu;
using Grpo.Models.Qwen.Decoding;
using Grpo.Models.Qwen.Model;
using Grpo.Models.Qwen.Planning;
using static TorchSharp.torch;

namespace Grpo.Models.Qwen.Tests;

public sealed class ModelKernelsTests
{
    private static readonly string Vectors = $"with vectors of {CpuFeatures.VectorBits} bits";

    [Fact]
    public void Kernels_name_the_vectors_or_why_there_are_none()
    {
        using var policy = new QwenPolicy(CausalLM.Initialize(TinyModels.CpuConfig(), seed: 7));
        Assert.Equal($"decoding in float32 {Vectors}; other passes by libtorch in float32", policy.Kernels);
        policy.Int8Rollouts = true;
        Assert.StartsWith($"decoding in 8 bits {Vectors}; ", policy.Kernels, StringComparison.Ordinal);
        policy.Model.AddAdapter(new LoraOptions());
        Assert.StartsWith(
            "decoding by libtorch's operations, because the adapter is not merged; ", policy.Kernels, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(4, 96, 40, "a head is 48 wide, which is not a multiple of 32")]
    [InlineData(6, 40, 40, "the feed-forward block is 40 wide, which is not a multiple of 16")]
    [InlineData(6, 96, 38, "the vocabulary is 38 wide, which is not a multiple of 4")]
    public void Obstacle_names_the_size_that_does_not_suit(int heads, int intermediate, int vocabulary, string expected)
    {
        DecoderConfig config = TinyModels.CpuConfig() with
        {
            AttentionHeadCount = heads,
            KeyValueHeadCount = 2,
            IntermediateSize = intermediate,
            VocabularySize = vocabulary,
        };
        Assert.Equal(expected, new ModelKernels(config, CPU, ScalarType.Float32, ScalarType.Float32).Obstacle);
    }

    [Fact]
    public void BFloat16_is_called_slow_on_a_processor_without_its_instructions()
    {
        var kernels = new ModelKernels(TinyModels.CpuConfig(), CPU, ScalarType.Float32, ScalarType.BFloat16);
        Assert.True((kernels with { HasBFloat16Products = false }).IsSlow);
        Assert.EndsWith(
            "in bfloat16, 8 to 9 times slower than float32, because the processor has no instructions for it",
            (kernels with { HasBFloat16Products = false }).ToString(),
            StringComparison.Ordinal);
        Assert.False((kernels with { HasBFloat16Products = true }).IsSlow);
        Assert.False((kernels with { HasBFloat16Products = false, ComputeType = ScalarType.Float32 }).IsSlow);
        Assert.False((kernels with { HasBFloat16Products = false, Device = device("cuda:0") }).IsSlow);
    }

    [Fact]
    public void DescribeKernels_of_a_model_that_is_not_loaded_equals_that_of_the_loaded_one()
    {
        using var policy = new QwenPolicy(CausalLM.Initialize(TinyModels.CpuConfig(), seed: 7)) { Int8Rollouts = true };
        Assert.Equal(policy.Kernels, QwenPolicy.DescribeKernels((QwenMemory)policy.Memory, CPU));
        Assert.StartsWith(
            "decoding by libtorch's operations, because the model is on cuda:0; ",
            QwenPolicy.DescribeKernels((QwenMemory)policy.Memory, device("cuda:0")),
            StringComparison.Ordinal);
    }
}
